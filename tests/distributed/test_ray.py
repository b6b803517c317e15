"""Ray Train starts the processes, and quadgate trains in them: the losses are those of one process."""

from pathlib import Path

import pytest

from distributed.histories import SMALL, cases
from quadgate.training import train

TESTS = str(Path(__file__).parents[1])


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # Ray warns of its own options
def test_ray_s_workers_train_together(tmp_path):
    import json

    def work(told):
        """Train in one of Ray's workers, which get this function and not the file; the first writes its losses."""
        import json
        import sys
        from pathlib import Path

        sys.path.insert(0, told["tests"])
        from distributed.histories import SMALL, cases
        from quadgate.training import Workers, train

        run = train(cases("default"), SMALL)
        workers = Workers.here()
        if workers.first:
            Path(told["file"]).write_text(json.dumps([workers.size, [one.train_loss for one in run.history.epochs]]))

    ray = pytest.importorskip("ray", reason="ray is not installed")
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    ray.init(num_cpus=2)
    try:
        file = tmp_path / "told.json"
        TorchTrainer(
            work,
            train_loop_config={"tests": TESTS, "file": str(file)},
            scaling_config=ScalingConfig(num_workers=2),
            run_config=RunConfig(storage_path=str(tmp_path / "ray")),
        ).fit()
    finally:
        ray.shutdown()
    size, losses = json.loads(file.read_text())
    assert size == 2
    alone = [one.train_loss for one in train(cases("default"), SMALL).history.epochs]
    assert losses == pytest.approx(alone, rel=1e-5)

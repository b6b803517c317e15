"""Load a server as 200 sensors would: streams over WebSocket, every answer held against the batch.

    python benchmarks/serve_load.py [--streams 200] [--rate 100] [--frame 5] [--seconds 20] [--out FILE]

The server is a process of its own, and so are the clients; latency is from before a frame is sent until its answer is
there. `wrk`, where it is installed, then loads /v2/models/model/infer over HTTP.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from quadgate import save
from quadgate.model import Model, Network

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from served import load, serving

WRK = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{body}'
"""


def drawn() -> Model:
    """Return the model that is served."""
    network, rng = Network(inputs=12, units=64, classes=6), np.random.default_rng(0)
    return Model(network, {name: rng.normal(0, 0.3, shape).astype("f4") for name, shape in network.shapes.items()})


def processor_seconds(pid: int) -> float:
    """Tell how long a process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def websockets(address: str, model: Model, options: argparse.Namespace, pid: int) -> dict[str, object]:
    """Play every stream and hold each answer against the batch's."""
    steps = int(options.rate * options.seconds) // options.frame * options.frame
    series = np.random.default_rng(1).normal(size=(options.streams, steps, 12)).astype(np.float32)
    expected = model.streams(options.streams, "probabilities").run(series)
    begin, used, mine = time.perf_counter(), processor_seconds(pid), resource.getrusage(resource.RUSAGE_SELF)
    import uvloop

    answers, seconds = uvloop.run(load(address, series, options.frame, options.rate / options.frame))
    took = time.perf_counter() - begin
    now = resource.getrusage(resource.RUSAGE_SELF)
    wrong = int((answers.view(np.uint32) != expected.view(np.uint32)).any(2).sum())
    p50, p99, p999, most = (1000 * float(one) for one in np.percentile(seconds, [50, 99, 99.9, 100]))
    return {
        "streams": options.streams,
        "samples": options.streams * steps,
        "frames": len(seconds),
        "answers_unlike_the_batch": wrong,
        "milliseconds": {"p50": p50, "p99": p99, "p99.9": p999, "max": most},
        "server_share_of_a_core": (processor_seconds(pid) - used) / took,
        "clients_share_of_a_core": (now.ru_utime + now.ru_stime - mine.ru_utime - mine.ru_stime) / took,
    }


def wrk(address: str, seconds: int = 10) -> dict[str, object] | None:
    """Load whole series over HTTP; None where wrk is not installed."""
    if shutil.which("wrk") is None:
        return None
    x = np.random.default_rng(2).normal(size=(1, 100, 12)).round(4)
    body = json.dumps(
        {"inputs": [{"name": "x", "shape": [1, 100, 12], "datatype": "FP32", "data": x.ravel().tolist()}]}
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK.replace("{body}", body))
        script.flush()
        command = ["wrk", "-t1", "-c16", f"-d{seconds}s", "--latency", "-s", script.name]
        url = f"http://{address}/v2/models/model/infer"
        told = subprocess.run([*command, url], check=True, capture_output=True, encoding="utf-8").stdout
    found = {"requests_per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1])}
    found |= {f"p{share}": text for share, text in re.findall(r"(50|99)%\s+([\d.]+\w+)", told)}
    return found | {"refused": int(m[1]) if (m := re.search(r"Non-2xx or 3xx responses: (\d+)", told)) else 0}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--rate", type=float, default=100.0, help="samples per second of a stream")
    parser.add_argument("--frame", type=int, default=5, help="samples of a message")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    model = drawn()
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder) / "model")
        with serving(Path(folder) / "model") as (address, process):
            print(f"{options.streams} streams at {options.rate:g} Hz for {options.seconds:g} s ...", file=sys.stderr)
            report = {
                "versions": {name: version(name) for name in ("quadgate", "uvicorn", "websockets", "uvloop", "numpy")},
                "machine": platform.platform(),
                "websocket": websockets(address, model, options, process.pid),
                "http": wrk(address),
            }
    text = json.dumps(report, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")
    if report["websocket"]["answers_unlike_the_batch"]:
        sys.exit("answers that are not those of the batch")


if __name__ == "__main__":
    main()

"""What several rooms test against: the cases that TensorFlow 1.15.5 computed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")  # where JAX is installed too, the tests run Keras on torch

# Without a GPU, Triton's kernels are run by its interpreter; Triton asks when they are imported.
if not Path("/dev/nvidiactl").exists() or version("torch").endswith("+cpu"):
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Every run explores new examples, but where a change is judged: there the examples are the same each time.
hypothesis.settings.register_profile("judge", derandomize=True, deadline=None)

ORACLE = Path(__file__).parent / "golden" / "oracle"
# They need the frameworks whose files they write or read.
collect_ignore_glob = ["golden/*/make*.py", "conformance/restore_in_*.py"]


@dataclass(frozen=True)
class OracleCase:
    """One folder of `golden/oracle`, whose README says what each array is."""

    folder: Path
    settings: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def __getitem__(self, key: str) -> np.ndarray:
        return self.arrays[key]

    def get(self, key: str) -> np.ndarray | None:
        return self.arrays.get(key)

    def under(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays below `prefix/`, by the rest of their names."""
        return {key.removeprefix(f"{prefix}/"): a for key, a in self.arrays.items() if key.startswith(f"{prefix}/")}


def load_oracle(name: str) -> OracleCase:
    folder = ORACLE / name
    with np.load(folder / "data.npz") as data:
        return OracleCase(folder, json.loads((folder / "case.json").read_text()), dict(data))


@pytest.fixture(scope="session")
def oracle():
    """Load an oracle case by name, each once."""
    loaded: dict[str, OracleCase] = {}

    def load(name: str) -> OracleCase:
        if name not in loaded:
            loaded[name] = load_oracle(name)
        return loaded[name]

    return load


def assert_float32_close(actual: Any, expected: np.ndarray, what: str = "") -> None:
    """Within 2e-6, or 1e-5 of the value: float32 arithmetic in another order."""
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=1e-5, atol=2e-6, err_msg=what)


def pytest_terminal_summary(terminalreporter):
    """Say loudly which tests were left out because a tool is missing."""
    reasons = {str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []) if report.longrepr}
    missing = sorted(reason for reason in reasons if "not run: found no" in reason)
    if missing:
        terminalreporter.section("TESTS THAT DID NOT RUN", red=True, bold=True)
    for reason in missing:
        terminalreporter.line(reason.removeprefix("Skipped: "))

"""How many threads a kernel may use: a pool of quadgate's own runs them, and this is what it is allowed to take."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from quadgate.errors import InputError


@dataclass(frozen=True)
class Threads:
    """A number of threads, and who decided it."""

    number: int
    decided_by: str


_limit: int | None = None  # what threadpoolctl asked for
_unlimited_number: int | None = None  # what it last saw without a limit, and sets again where its limit ends


def number_of_threads() -> int:
    """Return how many threads a kernel uses now.

    The first of these that is there decides: the environment variable `QUADGATE_NUM_THREADS`, a limit set through
    threadpoolctl, torch's own number where torch is loaded, the processors that this process may use.

    Raises:
        InputError: `QUADGATE_NUM_THREADS` is not a positive number.
    """
    return decide().number


def decide() -> Threads:
    """Return the number of threads and what decided it."""
    wanted = os.environ.get("QUADGATE_NUM_THREADS")
    if wanted is not None:
        if not wanted.isascii() or not wanted.isdigit() or int(wanted) < 1:
            raise InputError(f"QUADGATE_NUM_THREADS: found {wanted!r}, expected a number from 1; set one or unset it")
        return Threads(int(wanted), "QUADGATE_NUM_THREADS")
    if _limit is not None:
        return Threads(_limit, "threadpoolctl")
    torch = sys.modules.get("torch")
    if torch is not None:
        return Threads(torch.get_num_threads(), "torch.get_num_threads()")
    return Threads(processors(), "the processors available to this process")


def processors() -> int:
    """Return how many processors this process may use, as far as the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def register_with_threadpoolctl() -> None:
    """Let `threadpoolctl.threadpool_limits` rule our pool too, where threadpoolctl is installed.

    To be called where the compiled module is loaded: threadpoolctl finds our library among those of the process.
    """
    if find_spec("threadpoolctl") is None:
        return
    import threadpoolctl

    class QuadgateController(threadpoolctl.LibController):  # type: ignore[misc]  # its base carries no types
        user_api = "quadgate"
        internal_api = "quadgate"
        filename_prefixes = ("_native",)
        check_symbols = ("quadgate_kernels_version",)

        def get_num_threads(self) -> int:
            global _unlimited_number
            number = number_of_threads()
            if _limit is None:
                _unlimited_number = number
            return number

        def set_num_threads(self, num_threads: int) -> None:
            global _limit
            _limit = None if _limit is not None and num_threads == _unlimited_number else num_threads

        def get_version(self) -> Any:
            from quadgate import __version__

            return __version__

        def set_additional_attributes(self) -> None:
            pass

    threadpoolctl.register(QuadgateController)

"""What a file does not say and a model needs: said by name, so that it can be settled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumption:
    """A setting that was taken for granted.

    Attributes:
        setting: its name, as in `layouts.Settings` where it is one of those.
        value: what was taken; text for what is no number, None for no limit.
        reason: why the file does not tell it.
        cells: the names of the layers that it concerns; empty for all of them.
        option: the argument of `quadgate.load` that settles it; empty where there is none.

    >>> print(Assumption("forget_bias", 1.0, "a checkpoint does not hold it", option="forget_bias="))
    forget_bias=1.0 (assumed: a checkpoint does not hold it; forget_bias= settles it)
    """

    setting: str
    value: float | str | None
    reason: str
    cells: tuple[str, ...] = ()
    option: str = ""

    def __str__(self) -> str:
        value = "none" if self.value is None else self.value
        whose = f" in {', '.join(self.cells)}" if self.cells else ""
        settles = f"; {self.option} settles it" if self.option else ""
        return f"{self.setting}={value}{whose} (assumed: {self.reason}{settles})"

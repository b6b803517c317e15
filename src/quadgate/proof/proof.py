"""What was compared and how it came out: proved, proved given what was assumed, or not proved and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from quadgate.layouts import Settings
from quadgate.model import Assumption
from quadgate.proof.trial import Difference

FLOAT32 = 2e-5  # a framework runs in float32, its own order of sums; relative to the numbers where they are above 1


@dataclass(frozen=True)
class LayerProof:
    """Two corresponding layers: their names, how far they differ, and in words why where they do."""

    a: str
    b: str
    difference: Difference
    why: str = ""

    @property
    def holds(self) -> bool:
        """Whether they agree."""
        return self.difference.within()


@dataclass(frozen=True)
class FrameworkRun:
    """The framework itself, given the written file: its largest difference from the float64 reference, in float32."""

    framework: str
    difference: Difference

    @property
    def holds(self) -> bool:
        """Whether it agrees within what float32 loses."""
        return self.difference.within(FLOAT32)


@dataclass(frozen=True)
class Use:
    """What became of one tensor of the source."""

    tensor: str
    use: str


@dataclass(frozen=True)
class Proof:
    """The result of `verify` and `convert`.

    Attributes:
        a, b: where the two models came from.
        trial: what the layers were run on.
        layers: the pairs of corresponding layers.
        head: how far the logits of the dense heads differ; None where not both have one.
        faults: everything else that keeps it from being a proof, a sentence each: layers without a partner.
        assumptions: what was taken for granted and no option or recording settled.
        settled: what a recording settled, a sentence each.
        remarks: what the proof does not speak of, a sentence each.
        frameworks: the runs of frameworks that are installed.
        folded: what `convert` folded into what.
        ledger: of `convert`, each tensor of the source.
        code: of `convert`, the lines that load the result in its framework.
    """

    a: str
    b: str
    trial: str
    layers: tuple[LayerProof, ...]
    head: Difference | None = None
    faults: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    settled: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    frameworks: tuple[FrameworkRun, ...] = ()
    folded: tuple[str, ...] = ()
    ledger: tuple[Use, ...] = ()
    code: str = ""

    @property
    def holds(self) -> bool:
        """Whether everything that was compared agrees, be it given assumptions."""
        heads = self.head is None or self.head.within()
        parts = [*(layer.holds for layer in self.layers), *(run.holds for run in self.frameworks)]
        return bool(self.layers) and heads and all(parts) and not self.faults

    @property
    def verdict(self) -> str:
        """`proved`, `proved given forget_bias=1.0`, or `not proved`."""
        if not self.holds:
            return "not proved"
        given = dict.fromkeys(f"{one.setting}={'none' if one.value is None else one.value}" for one in self.assumptions)
        return f"proved given {', '.join(given)}" if given else "proved"

    @property
    def exit_code(self) -> int:
        """0 where proved, 3 where proved given an assumption, 1 where not proved."""
        return 1 if not self.holds else 3 if self.assumptions else 0

    def with_b(self, b: str) -> Proof:
        """Return the proof with another name of the second model."""
        return replace(self, b=b)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON's types."""
        return {
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "a": self.a,
            "b": self.b,
            "trial": self.trial,
            "layers": [
                {
                    "a": layer.a,
                    "b": layer.b,
                    "outputs": _number(layer.difference.outputs),
                    "state": _number(layer.difference.state),
                    "agrees": layer.holds,
                    "why": layer.why,
                }
                for layer in self.layers
            ],
            "head": None if self.head is None else _number(self.head.largest),
            "faults": self.faults,
            "assumptions": [{"setting": one.setting, "value": one.value, "text": str(one)} for one in self.assumptions],
            "settled": self.settled,
            "remarks": self.remarks,
            "frameworks": [
                {"framework": run.framework, "difference": _number(run.difference.largest), "agrees": run.holds}
                for run in self.frameworks
            ],
            "folded": self.folded,
            "ledger": [{"tensor": one.tensor, "use": one.use} for one in self.ledger],
            "code": self.code,
        }

    def __str__(self) -> str:
        lines = [f"A {self.a}", f"B {self.b}", ""]
        width = max((len(layer.a) for layer in self.layers), default=0)
        for layer in self.layers:
            d = layer.difference
            lines.append(f"{layer.a:<{width}}  {layer.b}  outputs differ by {d.outputs:.1e}, state by {d.state:.1e}")
            lines += [f"  {layer.why}"] if layer.why else []
        if self.head is not None:
            lines.append(f"head: logits differ by {self.head.largest:.1e}")
        lines += [f"{run.framework}: differs by {run.difference.largest:.1e} (float32)" for run in self.frameworks]
        lines.append(f"trial: {self.trial}")
        for title, told in (
            ("folded", self.folded),
            ("settled", self.settled),
            ("assumed", tuple(map(str, self.assumptions))),
            ("not part of the proof", self.remarks),
            ("differs", self.faults),
        ):
            lines += [f"{title}: {one}" for one in told]
        return "\n".join([*lines, "", self.verdict])


def decides(assumption: Assumption) -> bool:
    """Whether an assumption is one about what a layer computes, which a proof rests on."""
    return assumption.setting in Settings.__annotations__


def _number(value: float) -> float | None:
    """JSON has neither infinity nor NaN."""
    return value if abs(value) < float("inf") else None

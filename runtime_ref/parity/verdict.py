"""What a comparison says, as data: PASS, FAIL or NOT RUN with figures and a reason. How to compare is in `parity`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from ..pipeline.portrait import Array
from ..target import Precision, Target
from .tolerances import Tolerance


class Verdict(str, Enum):
    """What a comparison says."""

    PASS = "PASS"
    FAIL = "FAIL"
    NOT_RUN = "NOT RUN"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class ParityResult:
    """One row of the table: a stage, or the whole pipeline, of one target and precision.

    Attributes:
        scope: the stage's name, or "pipeline".
        metrics: the worst value of each metric over all golden cases; empty when not run.
        reason: why it failed or did not run; empty when it passed.
        runtime: what computed the output.
        limits: what was promised; None where nothing was compared.
        decisive: whether the report's verdict counts it; what no machine but a Mac can run is not held against others.
        causes: likely mistakes behind a failure, the likeliest first, one line each.
    """

    target: Target
    precision: Precision
    scope: str
    verdict: Verdict
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    runtime: str = ""
    limits: Tolerance | None = None
    decisive: bool = True
    causes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rendering:
    """The whole pipeline's output on one golden photo, kept for the report's pictures. `[H, W, 3]`."""

    target: Target
    precision: Precision
    case: str
    output: Array


@dataclass(frozen=True)
class ParityReport:
    """All results of a bundle."""

    results: tuple[ParityResult, ...]
    renderings: tuple[Rendering, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """FAIL if anything decisive failed, else NOT RUN if anything decisive did not run, else PASS."""
        verdicts = {result.verdict for result in self.results if result.decisive}
        for worst in (Verdict.FAIL, Verdict.NOT_RUN):
            if worst in verdicts:
                return worst
        return Verdict.PASS if verdicts else Verdict.NOT_RUN

    def as_json(self) -> dict[str, Any]:
        """The results as JSON data; pictures are not part of it."""
        return {"verdict": self.verdict.value, "results": [asdict(result) for result in self.results]}

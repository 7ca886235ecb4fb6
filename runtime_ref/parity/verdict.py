"""What a comparison says, as data: PASS, FAIL or NOT RUN with figures and a reason. How to compare is in `check`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..backends import BACKENDS, default_backend
from ..enums import TextEnum
from ..pipeline.aspects import Size, size_text
from ..pipeline.portrait import Array
from ..pipeline.stage import Stage
from ..target import Precision, Target
from .grade import Grade, grade
from .tolerances import Tolerance

PIPELINE = "pipeline"
STEPS = "steps"  # those around the networks, see `host_steps`
RUNTIME = "runtime"  # the row that says in one line that a target's own runtimes exist elsewhere only


class Verdict(TextEnum):
    """What a comparison says."""

    PASS = "PASS"
    FAIL = "FAIL"
    NOT_RUN = "NOT RUN"


@dataclass(frozen=True)
class RowKey:
    """What a row compares: its identity.

    Attributes:
        scope: a stage's name, "pipeline" (all stages, from photo to portrait), "steps", or "runtime".
        target, precision: of the files.
        backend: id of what computes; empty where none of a target's backends exists here.
        device: what it computes on: "cpu", "gpu", "neural engine".
        tile: side of the tiles in pixels where it is not the plan's.
        depth_size: height and width of a depth network's input where they are not the plan's first.
    """

    scope: str
    target: Target
    precision: Precision
    backend: str
    device: str
    tile: int | None = None
    depth_size: Size | None = None

    @classmethod
    def by_default(
        cls, scope: str, target: Target, precision: Precision, tile: int | None = None, depth_size: Size | None = None
    ) -> RowKey:
        """The row that the target's default backend computes."""
        facts = default_backend(target).facts
        return cls(scope, target, precision, facts.id, facts.device, tile, depth_size)

    @property
    def title(self) -> str:
        """What it compares, for people; one title a row of a target and precision."""
        scope = self.scope if self.tile is None else f"{self.scope}, tiles of {self.tile}"
        scope += "" if self.depth_size is None else f" of {size_text(self.depth_size)}"
        rows = {one.facts.id: one.facts.row for one in BACKENDS}
        return rows.get(self.backend, f"{{scope}}, {self.backend}" if self.backend else "{scope}").format(scope=scope)

    @property
    def full_title(self) -> str:
        """Target, precision and title."""
        return f"{self.target.title} {self.precision} {self.title}"


@dataclass(frozen=True)
class ParityResult:
    """One row of the table.

    Attributes:
        key: what was compared.
        metrics: the worst value of each metric over all golden cases; empty when not run.
        reason: why it failed or did not run; empty when it passed.
        runtime: what computed the output.
        limits: what was promised; None where nothing was compared.
        decisive: whether the report's verdict counts it; what no machine but a Mac can run is not held against others.
        causes: likely mistakes behind a failure, the likeliest first, one line each.
        failing: the cases that break a limit, by name; empty where all fail alike.
    """

    key: RowKey
    verdict: Verdict
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    runtime: str = ""
    limits: Tolerance | None = None
    decisive: bool = True
    causes: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()

    @property
    def target(self) -> Target:
        """Of the files."""
        return self.key.target

    @property
    def precision(self) -> Precision:
        """Of the files."""
        return self.key.precision

    @property
    def title(self) -> str:
        """What was compared, for people."""
        return self.key.title

    @property
    def grade(self) -> Grade | None:
        """What the eye sees of it: of whole pictures only."""
        return grade(self.metrics) if self.key.scope == PIPELINE else None

    def as_json(self) -> dict[str, Any]:
        """The row as JSON data: its key, title and figures. `scope` is the title, as older versions wrote it."""
        figures = asdict(self)
        key = figures.pop("key")
        figures.pop("failing")
        scope = key.pop("scope")
        stage = scope if scope in {stage.value for stage in Stage} else None
        seen = None if self.grade is None else self.grade.value
        return {**key, "scope": self.title, "stage": stage, "grade": seen, **figures}


def graded(result: ParityResult, least: Grade | None) -> ParityResult:
    """The result; a pipeline whose pictures look worse than was asked for fails for that reason, too."""
    if least is None or result.grade is None or result.grade.at_least(least):
        return result
    problem = f"its pictures are graded {result.grade}, at least {least} was asked for"
    reason = "; ".join(filter(None, (result.reason, problem)))
    return replace(result, verdict=Verdict.FAIL, reason=reason, failing=())


@dataclass(frozen=True)
class Rendering:
    """The whole pipeline's output on one golden photo, kept for the report's pictures. `[H, W, 3]`."""

    key: RowKey
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
        return {"verdict": self.verdict.value, "results": [result.as_json() for result in self.results]}

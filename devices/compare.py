"""Two benches side by side: what became slower or faster, and how sure that is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ..runtime_ref.backends.latency import MIN_RUNS
from ..runtime_ref.enums import TextEnum
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.files import read_file
from .figures import SCHEMA, BenchFigures, BenchReport, RunFigures
from .machine import Machine
from .statistics import Interval, ratio_of_medians


class Change(TextEnum):
    """What two medians' ratio and its interval say, for a share of change that counts."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "no difference"
    UNCLEAR = "unclear"
    BROKEN = "broken"


@dataclass(frozen=True)
class Comparison:
    """One figure of two benches.

    Attributes:
        row: what computed: target, precision, backend.
        what: a stage with its size, a photo, the preview.
        before, after: medians in milliseconds; None where there is none.
        interval: of after / before; None where one is missing.
        change: the verdict.
        note: why there is no figure; empty where there is.
    """

    row: str
    what: str
    before: float | None
    after: float | None
    interval: Interval | None
    change: Change
    note: str = ""

    @property
    def is_regression(self) -> bool:
        """Whether it is slower for sure, or ran before and does not now."""
        return self.change in (Change.SLOWER, Change.BROKEN)

    def as_json(self) -> dict[str, object]:
        """For machines."""
        interval = self.interval
        found = None if interval is None else {"ratio": interval.ratio, "low": interval.low, "high": interval.high}
        facts = {"row": self.row, "what": self.what, "before": self.before, "after": self.after}
        return {**facts, "ratio": found, "verdict": self.change.value, "note": self.note}


def read_report(path: Path) -> BenchReport:
    """A bench's JSON.

    Raises:
        DofkitError: it is none, or one of another schema.
    """
    try:
        document = json.loads(read_file(path))
        found = document.get("schema") if isinstance(document, dict) else None
        if found != SCHEMA:
            raise DofkitError(f"{path}: its schema is {found!r}, not {SCHEMA}; write it with dofkit bench --out FILE")
        return BenchReport.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DofkitError(f"{path}: {where}: {first['msg']}; write it again with dofkit bench --out FILE") from None
    except ValueError:  # no JSON, or no text
        raise DofkitError(f"{path}: is no JSON; write it with dofkit bench --out FILE") from None


def refuse_other_machine(baseline: BenchReport, machine: Machine, threads: int, path: Path) -> None:
    """Refuse to judge times of another machine, before any are taken.

    Raises:
        DofkitError: machine or threads differ; each difference is named.
    """
    differences = baseline.machine.differences(machine)
    if baseline.threads != threads:
        differences.append(f"{baseline.threads} threads there, {threads} here")
    _refuse(differences, path)


def refuse_other_devices(baseline: BenchReport, now: BenchReport, path: Path) -> None:
    """Refuse to judge times of another phone.

    Raises:
        DofkitError: a row's own machine differs.
    """
    differences: list[str] = []
    for before, after in _pairs(baseline, now):
        if before.machine is not None and after.machine is not None:
            differences += before.machine.differences(after.machine)
    _refuse(differences, path)


def _refuse(differences: list[str], path: Path) -> None:
    if differences:
        what = "; ".join(dict.fromkeys(differences))
        raise DofkitError(f"{path}: its figures are of another machine ({what}); measure a baseline here, with --out")


def compare(before: BenchReport, after: BenchReport, counts: float = 0.05) -> tuple[Comparison, ...]:
    """Everything that both measured, in the order of the first.

    Args:
        before, after: of the same machine, or nothing is meant by the ratios.
        counts: the share of change that counts: 0.05 is 5 %. Slower is what lies above 1 + share with its whole
            interval, faster what lies below 1 / (1 + share), no difference what lies between; all else is unclear.

    Raises:
        DofkitError: they have nothing in common.
    """
    found = tuple(one for pair in _pairs(before, after) for one in _compared(*pair, counts))
    if not found:
        there, here = (", ".join(dict.fromkeys(row.title for row in one.results)) for one in (before, after))
        raise DofkitError(f"the two benches have nothing in common: {there or 'nothing'} and {here or 'nothing'}")
    return found


def _pairs(before: BenchReport, after: BenchReport) -> Iterator[tuple[BenchFigures, BenchFigures]]:
    rows = {(row.title, row.backend): row for row in after.results}
    for row in before.results:
        if (other := rows.get((row.title, row.backend))) is not None:
            yield row, other


def _compared(before: BenchFigures, after: BenchFigures, counts: float) -> Iterator[Comparison]:
    old, new = before.timed(), after.timed()
    if before.error or after.error:
        change = Change.BROKEN if after.error and not before.error else Change.UNCLEAR
        yield Comparison(before.title, "all", None, None, None, change, after.error or f"before: {before.error}")
        return
    for what in old:
        if what in new and old[what].samples and new[what].samples:
            yield _comparison(before.title, what, old[what], new[what], counts)


def _comparison(row: str, what: str, before: RunFigures, after: RunFigures, counts: float) -> Comparison:
    if (fewest := min(len(before.samples), len(after.samples))) < MIN_RUNS:
        note = f"{what}: no verdict on {fewest} runs, it takes {MIN_RUNS}"
        return Comparison(row, what, before.p50, after.p50, None, Change.UNCLEAR, note)
    interval = ratio_of_medians(before.samples, after.samples)
    return Comparison(row, what, before.p50, after.p50, interval, verdict(interval, counts))


def verdict(interval: Interval, counts: float) -> Change:
    """What an interval says, see `compare`."""
    most, least = 1 + counts, 1 / (1 + counts)
    if interval.low > most:
        return Change.SLOWER
    if interval.high < least:
        return Change.FASTER
    return Change.SAME if least <= interval.low and interval.high <= most else Change.UNCLEAR

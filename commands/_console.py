"""What the commands print: tables and verdicts on stdout, progress on stderr. No other module prints."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ._terminal import ERRORS

if TYPE_CHECKING:
    from ..runtime_ref.parity.check import ParityReport

_STYLES = {"PASS": "green", "FAIL": "bold red", "NOT RUN": "yellow"}


class _ResultConsole(Console):
    """A console that shows a table which is wider than the terminal as one block of lines for each of its rows: cut
    columns would hide what was asked for."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich does it, tables that do not fit excepted."""
        if not any(isinstance(each, Table) for each in objects):
            return super().print(*objects, **options)
        for part in (part for each in objects for part in self._fitting(each)):
            super().print(part, **options)
        return None

    def _fitting(self, each: Any) -> list[Any]:
        if not isinstance(each, Table) or self._least_width(each) <= self.width:
            return [each]
        return [Text.from_markup(str(each.title), style="bold")] * bool(each.title) + list(_records(each))

    def _least_width(self, table: Table) -> int:
        """The width below which a table's cells are cut: whole lines where they may not wrap, else the longest word."""
        roomy = self.options.update(width=1 << 16)
        total = 1
        for column in table.columns:
            measures = [Measurement.get(self, roomy, cell) for cell in (column.header, *column.cells)]
            total += 3 + max(each.maximum if column.no_wrap else each.minimum for each in measures)
        return total


def _records(table: Table) -> Iterator[Table]:
    """Each row of a table as a small table of its own, a column's name before its value."""
    columns = [(column.header, list(column.cells)) for column in table.columns]
    for row in range(table.row_count):
        record = Table(box=None, show_header=False, pad_edge=False)
        record.add_column(overflow="fold", style="dim")
        record.add_column(overflow="fold")
        for header, cells in columns:
            if cells[row] != "":
                record.add_row(header, cells[row])
        record.add_row("", "")
        yield record


def stdout() -> Console:
    """The console for results; wide enough when it is not a terminal, so that logs are not cut."""
    return _ResultConsole(soft_wrap=False, width=None if sys.stdout.isatty() else 160, highlight=False)


def print_json(data: Any) -> None:
    """JSON on stdout, nothing else; where stdout is not Unicode, with escapes, so that no value changes."""
    unicode = (sys.stdout.encoding or "ascii").lower().startswith("utf")
    print(json.dumps(data, indent=2, ensure_ascii=not unicode))


def print_notes(notes: Sequence[str]) -> None:
    """What was lost or odd, one line each on stderr: results on stdout stay what they are."""
    for note in notes:
        print(f"dofkit: note: {note}", file=sys.stderr)


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress display on a private copy of stderr, which goes on while libraries are silenced."""
    with os.fdopen(os.dup(2), "w", errors=ERRORS) as stream:
        columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        quiet = not stream.isatty()  # a log has no use for a bar that moves
        with Progress(*columns, console=Console(file=stream), transient=True, disable=quiet) as display:
            yield display


def print_parity(report: ParityReport, reference: str) -> None:
    """The table of verdicts.

    Args:
        reference: what the files were compared with.
    """
    from ..runtime_ref.parity.reports.figures import format_metric, has_grades, measured_titles

    table = Table(title=f"Parity with {escape(reference)} (worst golden case)", title_justify="left")
    for name in ("target", "precision", "stage"):
        table.add_column(name, no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    graded = has_grades(report)
    if graded:
        table.add_column("grade", max_width=9)
    shown = measured_titles(report)
    for title in shown.values():
        table.add_column(title, justify="right", no_wrap=True)
    for result in report.results:
        style = _STYLES[result.verdict.value]
        values = [format_metric(name, result.metrics.get(name)) for name in shown]
        verdict = f"[{style}]{result.verdict}[/{style}]"
        seen = [str(result.grade or "")] if graded else []
        table.add_row(result.target.value, result.precision.value, result.title, verdict, *seen, *values)
    console = stdout()
    console.print(table)
    reasons: dict[str, list[str]] = {}
    for result in report.results:
        if result.reason:
            reasons.setdefault(f"{result.target.title} {result.verdict}: {result.reason}", []).append(result.title)
    for reason, scopes in reasons.items():
        console.print(f"{reason} ({', '.join(dict.fromkeys(scopes))})", markup=False)
    for result in report.results:
        for cause in result.causes:
            console.print(f"likely cause ({result.key.full_title}): {cause}", markup=False)

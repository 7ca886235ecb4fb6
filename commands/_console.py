"""What the commands print: tables and verdicts on stdout, progress on stderr. No other module prints."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from ..devices.host import BenchFigures
    from ..runtime_ref.parity.check import ParityReport

_STYLES = {"PASS": "green", "FAIL": "bold red", "NOT RUN": "yellow"}


def stdout() -> Console:
    """The console for results; wide enough when it is not a terminal, so that logs are not cut."""
    return Console(soft_wrap=False, width=None if sys.stdout.isatty() else 160, highlight=False)


def print_json(data: Any) -> None:
    """JSON on stdout, nothing else."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress display on a private copy of stderr, which goes on while libraries are silenced."""
    with os.fdopen(os.dup(2), "w") as stream:
        columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        quiet = not stream.isatty()  # a log has no use for a bar that moves
        with Progress(*columns, console=Console(file=stream), transient=True, disable=quiet) as display:
            yield display


def print_parity(report: ParityReport) -> None:
    """The table of verdicts."""
    from ..runtime_ref.parity.reports.figures import format_metric, has_grades, measured_titles

    table = Table(title="Parity with PyTorch fp32 (worst golden case)", title_justify="left")
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


def print_bench(rows: list[BenchFigures], threads: int) -> None:
    """The tables of latencies: one line a stage, then one line a whole photo."""
    console = stdout()
    stages = Table(title=f"Latency in ms, {threads} threads", title_justify="left")
    photos = Table(title="Whole photo (depth, blur, all upsamplings), ms", title_justify="left")
    for table, names in (
        (stages, ("runtime", "stage", "load", "first run", "p50", "p90", "runs")),
        (photos, ("runtime", "photo", "depth p50", "render p50", "first", "p50", "p90", "runs", "peak MB")),
    ):
        for number, name in enumerate(names):
            table.add_column(name, justify="left" if number < 2 else "right", no_wrap=True)
    for row in rows:
        for figures in row.stages:
            times = (f"{value:.1f}" for value in (figures.load, figures.first, figures.p50, figures.p90))
            stages.add_row(f"{row.title} ({row.runtime})", figures.stage.value, *times, str(figures.runs))
        if row.photo is not None:
            photo = row.photo
            values = (photo.depth_p50, photo.render_p50, photo.first, photo.p50, photo.p90)
            times = (f"{value:.0f}" for value in values)
            photos.add_row(row.title, f"{photo.width}×{photo.height}", *times, str(photo.runs), f"{row.peak_mb:.0f}")
    for table in (stages, photos):
        if table.row_count:
            console.print(table)
    for row in rows:
        if row.error:
            console.print(f"{row.title}: {row.error}", markup=False)

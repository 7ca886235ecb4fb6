"""The tables of `dofkit bench`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from ..runtime_ref.backends.latency import MIN_RUNS
from ._console import stdout

if TYPE_CHECKING:
    from ..devices.compare import Comparison
    from ..devices.figures import BenchFigures, BenchReport, PhotoFigures, StageFigures
    from ..devices.machine import MachineState

_CHANGES = {"slower": "bold red", "broken": "bold red", "faster": "green", "unclear": "yellow"}


def print_bench(report: BenchReport) -> None:
    """One line a stage, one a photo, one a minute of a sustained load; then what could not be measured."""
    console = stdout()
    rows = report.results
    stages = _table(
        f"Latency in ms, {report.threads} threads; parity with the first golden case",
        ("runtime", "stage"),
        ("load", "first run", "p50", "p90", "p99", "MAD", "runs", "PSNR dB", "max abs"),
    )
    photos = _table(
        "Whole photo (depth, blur, all upsamplings), ms",
        ("runtime", "photo"),
        ("depth p50", "render p50", "first", "p50", "p90", "MAD", "runs", "frames/s", "peak MB"),
    )
    counts = _table("Instructions of a run, millions", ("runtime", "stage"), ("instructions",))
    minutes = _table("Preview under a load that goes on", ("runtime",), ("minute", "p50 ms", "runs", "°C", "MHz"))
    for row in rows:
        for stage in row.every_stage:
            stages.add_row(_runtime(row), stage.title, *_stage(stage))
            if stage.instructions is not None:
                counts.add_row(row.title, stage.title, f"{stage.instructions / 1e6:.1f}")
        for photo in (*row.photos, *(() if row.preview is None else (row.preview,))):
            name = f"{photo.title}, networks only" if photo.networks_only else photo.title
            photos.add_row(row.title, name, *_photo(photo), "" if row.peak_mb is None else f"{row.peak_mb:.0f}")
        for one in () if row.sustained is None else row.sustained.minutes:
            minutes.add_row(row.title, f"{one.seconds / 60:g}", f"{one.p50:.1f}", str(one.runs), *_state(one.state))
    for table in (stages, counts, photos, minutes):
        if table.row_count:
            console.print(table)
    if any(not stage.settled for row in rows for stage in row.every_stage):
        console.print("* the warm-up's time was over before the times were stable", markup=False)
    if any(figures.runs < MIN_RUNS for row in rows for figures in (*row.every_stage, *row.photos)):
        console.print(f"no percentiles of fewer than {MIN_RUNS} runs: single ones take too long there", markup=False)
    for row in rows:
        if row.error:
            console.print(f"{row.title}, {row.backend}: {row.error}", markup=False)
        if words := _throttling(row):
            console.print(words, markup=False)


def _table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in texts:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _runtime(row: BenchFigures) -> str:
    where = "" if row.machine is None else f", {row.machine.processor}"
    return f"{row.title} ({row.runtime}{where})"


def _state(state: MachineState) -> list[str]:
    """Temperature and clock."""
    warmth = "" if state.celsius is None else f"{state.celsius:.1f}"
    return [warmth, "" if state.clock_mhz is None else str(state.clock_mhz)]


def _throttling(row: BenchFigures) -> str:
    """A line about a machine that held itself back; empty where it did not, or does not tell."""
    worst = max(row.before.throttling or 0, row.after.throttling or 0)
    return f"{row.title}, {row.backend}: the device was throttling (thermal status {worst})" if worst else ""


def _stage(figures: StageFigures) -> list[str]:
    times = [f"{value:.1f}" for value in (figures.load, figures.first, figures.p50)]
    tails = _tails(figures.runs, 1, figures.p90, figures.p99, figures.mad)
    runs = f"{figures.runs}{'' if figures.settled else '*'}"
    parity = figures.parity
    beside = ["", ""] if parity is None else [f"{parity.psnr:.1f}", f"{parity.max_abs:.1e}"]
    return [*times, *tails, runs, *beside]


def _tails(runs: int, digits: int, *values: float) -> list[str]:
    """Percentiles and spread, which a few runs do not have."""
    return [f"{value:.{digits}f}" if runs >= MIN_RUNS else "" for value in values]


def _photo(figures: PhotoFigures) -> list[str]:
    times = [f"{value:.0f}" for value in (figures.depth_p50, figures.render_p50, figures.first, figures.p50)]
    tails = _tails(figures.runs, 0, figures.p90, figures.mad)
    return [*times, *tails, str(figures.runs), f"{figures.frames_per_second:.1f}"]


def print_comparison(found: Sequence[Comparison]) -> None:
    """One line a figure: medians, their ratio with its interval, the verdict."""
    table = _table("Medians compared, ms", ("row", "what"), ("before", "after", "ratio", "95 % interval", "verdict"))
    for one in found:
        style = _CHANGES.get(one.change.value, "")
        words = f"[{style}]{one.change}[/{style}]" if style else one.change.value
        medians = ["" if value is None else f"{value:.2f}" for value in (one.before, one.after)]
        interval = one.interval
        ratio = [""] * 2
        if interval is not None:
            ratio = [f"{interval.ratio:.3f}", f"{interval.low:.3f} to {interval.high:.3f}"]
        table.add_row(one.row, one.what, *medians, *ratio, words)
    console = stdout()
    console.print(table)
    for one in found:
        if one.note:
            console.print(f"{one.row}: {one.note}", markup=False)

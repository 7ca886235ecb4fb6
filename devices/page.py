"""A bench as one self-contained page: tables, and plots of every sample."""

from __future__ import annotations

from pathlib import Path

from ..runtime_ref.files import write_file
from ..runtime_ref.parity.reports.page import templates
from .figures import BenchReport, SustainedFigures
from .plots import line, strips


def write_page(path: Path, report: BenchReport) -> None:
    """Write the page.

    Raises:
        MissingExtraError: Jinja2 is not installed.
        DofkitError: the file cannot be written.
    """
    samples = {
        f"{row.title}, {what}": (figures.samples, figures.p50)
        for row in report.results
        for what, figures in row.timed().items()
        if figures.samples
    }
    page = (
        templates(Path(__file__).parent)
        .get_template("bench.html.j2")
        .render(
            report=report,
            samples=strips(samples) if samples else "",
            minutes={row.title: _minutes(row.sustained) for row in report.results if row.sustained is not None},
        )
    )
    write_file(path, page.encode())


def _minutes(sustained: SustainedFigures) -> tuple[str, str]:
    """Plots of times, and of temperatures where they are known."""
    times = [(one.seconds / 60, one.p50) for one in sustained.minutes]
    warmth = [(one.seconds / 60, one.state.celsius) for one in sustained.minutes if one.state.celsius is not None]
    return line(times, "min", "ms a frame"), line(warmth, "min", "°C") if warmth else ""

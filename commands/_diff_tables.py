"""What `dofkit diff` shows to people: tables of what changed, then the regressions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from ..runtime_ref.parity.bundle_diff import BundleDiff, ParityChange, SizeChange
from ..runtime_ref.parity.reports.figures import format_metric
from ..runtime_ref.parity.reports.markdown import counts_text, regressions_text, relative_text
from ._console import stdout


def print_diff(diff: BundleDiff) -> None:
    """All tables that have a row, the notes, and one line a regression at the end."""
    tables = [
        _table("Size in kB", ("file", "old", "new", "change"), map(_size, diff.sizes)),
        _table("Parity as recorded at export", ("comparison", "old", "new", "PSNR dB"), map(_parity, diff.parity)),
        _table(
            "Median latency in ms",
            ("stage", "old", "new", "change"),
            (
                (row.title, f"{row.old:.1f}", f"{row.new:.1f}", relative_text(row.old, row.new))
                for row in diff.latency or ()
                if row.old is not None and row.new is not None
            ),
        ),
        _table("Operations", ("model", "change"), ((row.title, counts_text(row.counts)) for row in diff.operations)),
        _table("Declarations", ("what", "old", "new"), ((f.where, f.old or "–", f.new or "–") for f in diff.facts)),
    ]
    console = stdout()
    for table in tables:
        if table.row_count:
            console.print(table)
    for kind, lines in (("added", diff.added), ("removed", diff.removed), ("note", diff.notes)):
        for line in lines:
            console.print(f"{kind}: {line}", markup=False)
    for line in diff.regressions:
        console.print(Text(f"REGRESSION: {line}", "bold red"))
    console.print(f"{diff.old} → {diff.new}: {regressions_text(diff)}", markup=False)


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _size(change: SizeChange) -> tuple[str, ...]:
    sizes = ("–" if size is None else f"{size / 1e3:.1f}" for size in (change.old, change.new))
    return (change.title, *sizes, relative_text(change.old, change.new))


def _parity(change: ParityChange) -> tuple[str, ...]:
    sides = (change.old, change.new)
    verdicts = (row.verdict.value if row else "–" for row in sides)
    psnr = " → ".join(format_metric("psnr", row.metrics.get("psnr") if row else None) or "–" for row in sides)
    return (change.title, *verdicts, psnr)

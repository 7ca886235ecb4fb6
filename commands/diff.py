"""`dofkit diff`: what changed between two bundles, and whether anything got worse than allowed."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click

from ..runtime_ref.target import Target
from ._options import BUNDLE, FILE, FiniteFloat, Percentage, json_option

if TYPE_CHECKING:
    from ..devices.figures import BenchFigures
    from ..runtime_ref.bundle import Bundle
    from ..runtime_ref.parity.bundle_diff import LatencyChange, Variant

ROUNDS = 3  # old and new in turn: what else the machine does meanwhile slows both


@click.command()
@click.argument("old", type=BUNDLE)
@click.argument("new", type=BUNDLE)
@click.option(
    "--max-size-growth", type=Percentage(), default="5%", show_default=True, help="By how much a file may grow."
)
@click.option(
    "--max-psnr-drop", type=FiniteFloat(0), default=1.0, show_default=True, metavar="DB",
    help="By how many dB a comparison's PSNR may drop.",
)  # fmt: skip
@click.option(
    "--max-slowdown", type=Percentage(), default="10%", show_default=True,
    help="By how much a stage's latency may grow (with --latency).",
)  # fmt: skip
@click.option("--allow-removed", is_flag=True, help="Variants, models and comparisons may vanish.")
@click.option("--latency", "with_latency", is_flag=True, help="Measure both bundles now, in turn, on this machine.")
@click.option("--markdown", type=FILE, help="Also write Markdown, for a pull request.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    old: Path,
    new: Path,
    max_size_growth: float,
    max_psnr_drop: float,
    max_slowdown: float,
    allow_removed: bool,
    with_latency: bool,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Compare bundle NEW with bundle OLD: sizes, operations, declarations, recorded parity, latency.

    Parity is what each export recorded; nothing is computed again.

    \b
    Exit codes: 0 nothing got worse than allowed, 1 something did (each is listed), 2 bad input.
    """
    from ..runtime_ref.bundle import Bundle
    from ..runtime_ref.files import check_folder, write_file
    from ..runtime_ref.parity.bundle_diff import Limits, diff_bundles
    from ..runtime_ref.parity.reports.markdown import diff_markdown
    from . import _console, _diff_tables

    if markdown is not None:
        check_folder(markdown)
    before, after = Bundle.open(old), Bundle.open(new)
    limits = Limits(max_size_growth, max_psnr_drop, max_slowdown, allow_removed)
    diff = diff_bundles(before, after, limits, _measure(before, after) if with_latency else None)
    if markdown is not None:
        write_file(markdown, diff_markdown(diff).encode())
    if as_json:
        _console.print_json(diff.as_json())
    else:
        _diff_tables.print_diff(diff)
    ctx.exit(1 if diff.regressions else 0)


def _measure(old: Bundle, new: Bundle) -> list[LatencyChange]:
    """Median latency of every stage that both bundles have."""
    from . import _console

    shared = [variant for variant in old.variants() if variant in new.variants()]
    changes: list[LatencyChange] = []
    with _console.progress() as display:
        bar = display.add_task("latency", total=len(shared))
        for variant in shared:
            display.update(bar, description=f"latency {variant[0].title} {variant[1]}")
            changes += _measure_variant(old, new, variant)
            display.advance(bar)
    return changes


def _measure_variant(old: Bundle, new: Bundle, variant: Variant) -> list[LatencyChange]:
    from ..devices import bench
    from ..runtime_ref.backends import default_backend
    from ..runtime_ref.backends.latency import TimeBudget
    from ..runtime_ref.parity.bundle_diff import LatencyChange

    target, precision = variant
    title = f"{target.title} {precision}"
    if target is Target.COREML:
        return [LatencyChange(title, None, None, "Core ML's latency needs a Mac or a phone")]
    rounds: tuple[list[BenchFigures], list[BenchFigures]] = ([], [])
    for _ in range(ROUNDS):
        for bundle, figures in zip((old, new), rounds, strict=True):
            budget = TimeBudget(runs=30, seconds=2)
            request = bench.BenchRequest(
                bundle, default_backend(target), target, precision, budget=budget, photos=(), preview=False
            )
            figures.append(bench.bench(request))
    errors = [next((one.error for one in figures if one.error), "") for figures in rounds]
    if any(errors):
        return [LatencyChange(title, None, None, errors[1] or errors[0], broken=bool(errors[1]) and not errors[0])]
    before, after = (_medians(figures) for figures in rounds)
    return [LatencyChange(f"{title} {stage}", before[stage], after[stage]) for stage in before if stage in after]


def _medians(figures: list[BenchFigures]) -> dict[str, float]:
    """The median over the rounds of each stage's median latency, in milliseconds."""
    times: dict[str, list[float]] = {}
    for stage in (stage for one in figures for stage in one.stages):
        times.setdefault(stage.stage.value, []).append(stage.p50)
    return {stage: median(values) for stage, values in times.items()}

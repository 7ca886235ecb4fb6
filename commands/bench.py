"""`dofkit bench`: latency, memory and parity of a bundle where it will run; two benches compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..runtime_ref.target import Precision, Target
from ..train.brought.naming import OPTIONS
from ._brought_options import brought_options, network_names
from ._groups import GroupedCommand, GroupedOption
from ._options import (
    BUNDLE,
    FILE,
    PRECISION,
    TARGET,
    Duration,
    FiniteFloat,
    Percentage,
    PhotoSize,
    computing,
    device_options,
    json_option,
    weights_option,
)

if TYPE_CHECKING:
    from ..devices.compare import Comparison
    from ..devices.figures import BenchReport
    from ..runtime_ref.backends import Backend
    from ..train.brought.naming import NetworkNames

REPORTS, COMPARISON = "Reports", "Comparison"


@click.command(cls=GroupedCommand)
@click.argument("bundle", type=BUNDLE, required=False)
@click.option("--target", "targets", type=TARGET, multiple=True, help="Measure only this target.")
@click.option("--precision", "precisions", type=PRECISION, multiple=True, help="Measure only this precision.")
@click.option(
    "--backend", "backends", multiple=True, metavar="ID",
    help="Measure with this backend (`dofkit doctor` lists them).  [default: the usual one of each target]",
)  # fmt: skip
@device_options("Measure on this device.  [default: host]")
@click.option("--pytorch", is_flag=True, help="Also measure PyTorch fp32 (the shipped weights, or --weights).")
@weights_option("Weights for --pytorch.", file_okay=False)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="CPU threads.")
@click.option(
    "--runs", type=click.IntRange(min=5), default=30, show_default=True, help="Steady runs of a stage and of a photo."
)
@click.option(
    "--seconds", type=FiniteFloat(min=0, min_open=True), default=10.0, show_default=True,
    help="Stop the steady runs after this time (but not before 5 runs, or half a minute); a quarter of it may go to "
    "the warm-up.",
)  # fmt: skip
@click.option(
    "--photo", "photos", type=PhotoSize(), multiple=True, metavar="SIZE", default=["2048"], show_default=True,
    help="A photo for the whole pipeline: long side, megapixels (12mp) or 1920x1080; repeatable; 0 leaves it out.",
)  # fmt: skip
@click.option(
    "--one-size", is_flag=True, help="Leave out the depth network's further sizes and the stages' further tiles."
)
@click.option("--no-preview", is_flag=True, help="Leave out the preview of 1280×960 (frames a second).")
@click.option(
    "--sustained", type=Duration(), default=0.0, metavar="TIME",
    help="Render the preview for so long (10m): a median and a temperature for each minute.",
)  # fmt: skip
@json_option
@click.option("--out", type=FILE, cls=GroupedOption, group=REPORTS, help="Also write the JSON into a file.")
@click.option(
    "--html", "html_to", type=FILE, cls=GroupedOption, group=REPORTS, help="A page with a plot of every sample."
)
@click.option(
    "--schema", is_flag=True, cls=GroupedOption, group=REPORTS, help="Print the JSON Schema of the JSON, and end."
)
@click.option(
    "--compare", nargs=2, type=FILE, metavar="OLD NEW", cls=GroupedOption, group=COMPARISON,
    help="Compare the JSON of two benches instead of measuring.",
)  # fmt: skip
@click.option(
    "--baseline", type=FILE, cls=GroupedOption, group=COMPARISON,
    help="Compare with the JSON of a bench before; exit with 1 where something is slower or broken.",
)  # fmt: skip
@click.option(
    "--max-slowdown", type=Percentage(), default="5%", show_default=True, cls=GroupedOption, group=COMPARISON,
    help="The change of a median that counts.",
)  # fmt: skip
@brought_options()
@click.pass_context
def command(
    ctx: click.Context,
    bundle: Path | None,
    targets: tuple[Target, ...],
    precisions: tuple[Precision, ...],
    backends: tuple[str, ...],
    devices: tuple[str, ...],
    pytorch: bool,
    weights: Path | None,
    threads: int,
    runs: int,
    seconds: float,
    photos: tuple[tuple[int, int], ...],
    one_size: bool,
    no_preview: bool,
    sustained: float,
    as_json: bool,
    out: Path | None,
    html_to: Path | None,
    schema: bool,
    compare: tuple[Path, Path] | None,
    baseline: Path | None,
    max_slowdown: float,
) -> None:
    """Measure a BUNDLE: load, first run, steady runs, whole photos, preview, peak memory, and parity beside them.

    Every backend runs in a process of its own. Core ML needs a Mac or an iPhone and is left out here (on a Mac:
    --backend coreml-cpu). Times of different machines do not compare; on one machine compare the rows of one run.

    \b
    Exit codes: 0, 1 slower or broken against --baseline, 2 bad input (a baseline of another machine, too).

    \b
    Examples:
        dofkit bench portrait.dofbundle --photo 12mp --photo 48mp --html bench.html
        dofkit bench portrait.dofbundle --out baseline.json
        dofkit bench portrait.dofbundle --baseline baseline.json
        dofkit bench --compare baseline.json new.json
    """
    from ..devices.bench import bench_bundle
    from ..devices.compare import read_report, refuse_other_machine
    from ..devices.figures import BenchReport
    from ..devices.machine import this_machine
    from ..runtime_ref.backends.latency import TimeBudget
    from ..runtime_ref.errors import DofkitError
    from ..runtime_ref.files import check_folder, check_goals
    from . import _bench_tables, _console

    if schema:
        _console.print_json(BenchReport.model_json_schema(by_alias=True))
        return
    if compare:
        before, after = map(read_report, compare)
        _show_comparison(before, after, max_slowdown, as_json)
        return
    if bundle is None:
        raise DofkitError("nothing to measure; name a bundle, or two files with --compare")
    named = network_names(ctx)
    if named and not pytorch:
        option = next(OPTIONS[stage] for stage in OPTIONS if named.of_stage(stage))
        raise DofkitError(f"{option} says nothing without --pytorch; give --pytorch, or leave {option} out")
    if weights is not None and not pytorch:
        raise DofkitError("--weights says nothing without --pytorch; give --pytorch, or leave --weights out")
    check_goals({"--out": out, "--html": html_to}, [baseline])
    for path in filter(None, (out, html_to)):
        check_folder(path)
    known = None
    if baseline is not None:  # before the minutes of work
        known = read_report(baseline)
        refuse_other_machine(known, this_machine(), threads, baseline)
    sizes = tuple(dict.fromkeys(size for size in photos if size != (0, 0)))
    with _console.progress() as display:
        bar = display.add_task("bench", total=None)
        report = bench_bundle(
            bundle,
            targets=targets,
            precisions=precisions,
            backends=computing(backends, devices),
            fileless=_pytorch(weights, named) if pytorch else (),
            threads=threads,
            budget=TimeBudget(runs=runs, seconds=seconds),
            photos=sizes,
            every_size=not one_size,
            preview=not no_preview and bool(sizes),
            sustained=sustained,
            watch=lambda title, done, total: display.update(bar, description=title, completed=done, total=total),
        )
    _write(report, out, html_to)
    found = _against(known, report, baseline, max_slowdown) if known is not None and baseline is not None else ()
    if as_json:
        compared = {"comparisons": [one.as_json() for one in found]} if known is not None else {}
        _console.print_json({**report.as_json(), **compared})
    else:
        _bench_tables.print_bench(report)
        if found:
            _bench_tables.print_comparison(found)
    ctx.exit(int(any(one.is_regression for one in found)))


def _write(report: BenchReport, out: Path | None, html_to: Path | None) -> None:
    from ..devices.page import write_page
    from ..runtime_ref.files import write_json

    if out is not None:
        write_json(out, report.as_json())
    if html_to is not None:
        write_page(html_to, report)


def _against(baseline: BenchReport, now: BenchReport, path: Path, most: float) -> tuple[Comparison, ...]:
    """What became of a baseline's figures."""
    from ..devices.compare import compare, refuse_other_devices

    refuse_other_devices(baseline, now, path)
    return compare(baseline, now, most)


def _show_comparison(before: BenchReport, after: BenchReport, most: float, as_json: bool) -> None:
    from ..devices.compare import compare
    from . import _bench_tables, _console

    found = compare(before, after, most)
    if as_json:
        _console.print_json({"comparisons": [one.as_json() for one in found]})
        return
    _bench_tables.print_comparison(found)
    if differences := before.machine.differences(after.machine):
        _console.print_notes([f"the two are of different machines ({'; '.join(differences)})"])


def _pytorch(weights: Path | None, brought: NetworkNames) -> tuple[Backend, ...]:
    from ..train.backend import pytorch

    return (pytorch(weights, brought),)

"""`dofkit bench`: latency and memory of a bundle on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..runtime_ref.target import Precision, Target
from ._options import BUNDLE, PRECISION, TARGET, FiniteFloat, computing, device_option, json_option, weights_option

if TYPE_CHECKING:
    from ..runtime_ref.backends import Backend


@click.command()
@click.argument("bundle", type=BUNDLE)
@click.option("--target", "targets", type=TARGET, multiple=True, help="Measure only this target.")
@click.option("--precision", "precisions", type=PRECISION, multiple=True, help="Measure only this precision.")
@click.option(
    "--backend", "backends", multiple=True, metavar="ID",
    help="Measure with this backend (`dofkit doctor` lists them).  [default: the usual one of each target]",
)  # fmt: skip
@device_option("Measure on this device.  [default: host]")
@click.option("--pytorch", is_flag=True, help="Also measure PyTorch fp32 (the shipped weights, or --weights).")
@weights_option("Weights for --pytorch.", file_okay=False)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="CPU threads.")
@click.option(
    "--runs", type=click.IntRange(min=5), default=30, show_default=True, help="Steady runs of a stage and of the photo."
)
@click.option(
    "--seconds", type=FiniteFloat(min=0, min_open=True), default=10.0, show_default=True,
    help="Stop the steady runs after this time (but not before 5 runs).",
)  # fmt: skip
@click.option(
    "--photo", "photo_side", type=click.IntRange(min=0), default=2048, show_default=True,
    help="Long side of the photo for the whole pipeline; 0 leaves it out.",
)  # fmt: skip
@json_option
def command(
    bundle: Path,
    targets: tuple[Target, ...],
    precisions: tuple[Precision, ...],
    backends: tuple[str, ...],
    devices: tuple[str, ...],
    pytorch: bool,
    weights: Path | None,
    threads: int,
    runs: int,
    seconds: float,
    photo_side: int,
    as_json: bool,
) -> None:
    """Measure a BUNDLE: load, first run, steady median and 90th percentile, whole photo, peak memory.

    Every backend runs in a process of its own. Core ML needs a Mac or an iPhone and is left out here (on a Mac:
    --backend coreml-cpu). Times of different machines do not compare; on one machine compare the rows of one run.
    """
    from ..devices.host import bench_bundle
    from ..runtime_ref.backends.latency import TimeBudget
    from ..runtime_ref.errors import DofkitError
    from . import _console

    if weights is not None and not pytorch:
        raise DofkitError("--weights says nothing without --pytorch; give --pytorch, or leave --weights out")
    with _console.progress() as display:
        bar = display.add_task("bench", total=None)
        rows = bench_bundle(
            bundle,
            targets=targets,
            precisions=precisions,
            backends=computing(backends, devices),
            fileless=_pytorch(weights) if pytorch else (),
            threads=threads,
            budget=TimeBudget(runs=runs, seconds=seconds),
            photo_side=photo_side,
            watch=lambda title, done, total: display.update(bar, description=title, completed=done, total=total),
        )
    if as_json:
        _console.print_json({"threads": threads, "results": [row.model_dump(mode="json") for row in rows]})
    else:
        _console.print_bench(list(rows), threads)


def _pytorch(weights: Path | None) -> tuple[Backend, ...]:
    from ..train.backend import pytorch

    return (pytorch(weights),)

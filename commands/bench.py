"""`dofkit bench`: latency and memory of a bundle on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..runtime_ref.target import Precision, Target
from ._options import BUNDLE, PRECISION, TARGET, FiniteFloat, json_option

if TYPE_CHECKING:
    from ..runtime_ref.backends import Backend
    from ..runtime_ref.bundle import Bundle


@click.command()
@click.argument("bundle", type=BUNDLE)
@click.option("--target", "targets", type=TARGET, multiple=True, help="Measure only this target.")
@click.option("--precision", "precisions", type=PRECISION, multiple=True, help="Measure only this precision.")
@click.option(
    "--backend", "backends", multiple=True, metavar="ID",
    help="Measure with this backend (`dofkit doctor` lists them).  [default: the usual one of each target]",
)  # fmt: skip
@click.option("--pytorch", is_flag=True, help="Also measure PyTorch fp32 (the shipped weights, or --weights).")
@click.option("--weights", type=click.Path(path_type=Path, file_okay=False), help="Weights for --pytorch.")
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
    from ..devices import host
    from ..runtime_ref.backends.latency import TimeBudget
    from ..runtime_ref.backends.registry import backend
    from ..runtime_ref.bundle import Bundle
    from . import _console

    chosen = tuple(map(backend, backends))
    opened = Bundle.open(bundle)
    asked = _asked(opened, targets, precisions, chosen, pytorch, weights)
    budget = TimeBudget(runs=runs, seconds=seconds)
    rows = []
    with _console.progress() as display:
        bar = display.add_task("bench", total=len(asked))
        for one, target, precision in asked:
            request = host.BenchRequest(opened, one, target, precision, threads, budget, photo_side)
            display.update(bar, description=request.title)
            rows.append(host.bench(request))
            display.advance(bar)
    if as_json:
        _console.print_json({"threads": threads, "results": [row.model_dump(mode="json") for row in rows]})
    else:
        _console.print_bench(rows, threads)


def _asked(
    bundle: Bundle,
    targets: tuple[Target, ...],
    precisions: tuple[Precision, ...],
    backends: tuple[Backend, ...],
    pytorch: bool,
    weights: Path | None,
) -> list[tuple[Backend, Target | None, Precision]]:
    """What is measured: a row for each backend and variant, PyTorch the last.

    Raises:
        DofkitError: nothing is.
    """
    from ..runtime_ref.backends import default_backend
    from ..runtime_ref.errors import DofkitError

    asked: list[tuple[Backend, Target | None, Precision]] = []
    for target, precision in bundle.variants():
        if (targets and target not in targets) or (precisions and precision not in precisions):
            continue
        usual = default_backend(target)
        # An evaluation by definition says nothing of an app's latency.
        given = backends or (() if usual.facts.is_reference else (usual,))
        asked += [(one, target, precision) for one in given if target in one.facts.targets]
    if pytorch:
        from ..train.backend import pytorch as torch_backend

        asked.append((torch_backend(weights), None, Precision.FP32))
    if not asked:
        there = ", ".join(f"{target} {precision}" for target, precision in bundle.variants())
        raise DofkitError(f"{bundle.root} holds nothing of that kind which runs on this machine; it holds {there}")
    return asked

"""The way of targets that have one file a stage: converted to float32 once, and every precision made from that file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime_ref.bundle import ModelEntry
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.target import Precision
from .folded import FoldedLayer, NetworkWeights, network_weights
from .job import Job
from .labels import Stamp
from .ranges import Ranges
from .stages import StageGraph
from .stored import Found, Judged, StoredWeights, compare_in_order, within_rounding

Derive = Callable[[StageGraph, Path, Path, Precision, "Ranges | None", Collection[str]], None]


@dataclass(frozen=True)
class Files:
    """What a target can do with files.

    Attributes:
        deployment: the least runtime that reads them.
        convert: writes a stage in float32.
        derive: (stage, float32 file, goal, precision, ranges, kept) writes it in another precision; `kept` are names
            of the float32 file's convolutions that stay in floats.
        stored: how a file's weights are read and judged.
        operators: a file's operations and how often each stands in it.
        stamp: writes into a finished file what it says of itself.
    """

    deployment: str
    convert: Callable[[StageGraph, Path], None]
    derive: Derive
    stored: StoredWeights[Any]
    operators: Callable[[Path], dict[str, int]]
    stamp: Callable[[Path, Stamp], None]


def export_each_stage(job: Job, files: Files) -> list[ModelEntry]:
    """Write `STAGE.PRECISION.SUFFIX` for every stage and precision; hold the weights in it against the network's.

    Raises:
        DofkitError: the recipe names a layer that a network has not, or there is nothing to calibrate on.
    """
    weights = {stage: network_weights(graph.network, graph.example()) for stage, graph in job.graphs.items()}
    for stage, found in weights.items():
        for precision in job.precisions:
            refuse_unknown(job.kept_float(stage, precision), found.convolutions)
    # Beside the goal, so that a finished file only changes its name.
    with tempfile.TemporaryDirectory(dir=job.folder) as scratch:
        return [
            entry
            for stage, graph in job.graphs.items()
            for entry in _export_stage(job, files, graph, weights[stage], Path(scratch))
        ]


def _export_stage(
    job: Job, files: Files, graph: StageGraph, weights: NetworkWeights, scratch: Path
) -> Iterator[ModelEntry]:
    """One stage in every precision."""
    stage, target = graph.stage, job.target
    job.report(f"convert {stage} to {target.title}")
    float32 = scratch / f"{stage}{target.suffix}"
    files.convert(graph, float32)
    ranges = None
    if any(precision.needs_ranges for precision in job.precisions):
        ranges = job.calibration.ranges(stage, job.plan, target, float32)
    for precision in job.precisions:
        inside = job.inside(f"{stage}.{precision}")
        goal, names = job.folder / inside, job.kept_float(stage, precision)
        if precision is Precision.FP32:
            _copy(float32, goal)
        else:
            calls = files.stored.convolutions(float32) if names else ()
            kept = names_in_file(names, weights.convolutions, calls, files.stored.judge) if names else frozenset()
            files.derive(graph, float32, goal, precision, ranges, kept)
        files.stamp(goal, job.stamp({"main": graph}, precision, job.plan))
        yield ModelEntry(
            stage=stage,
            target=target,
            precision=precision,
            path=inside,
            inputs=tuple(graph.entry(signal, target) for signal in graph.inputs),
            outputs=(graph.entry(graph.output, target),),
            operators=files.operators(goal),
            deployment=files.deployment,
            kept_float=tuple(sorted(names)),
            layers=files.stored.compare(weights, goal),
        )


def _copy(model: Path, goal: Path) -> None:
    if model.is_dir():
        shutil.copytree(model, goal)
    else:
        shutil.copyfile(model, goal)


def refuse_unknown(names: Collection[str], layers: Sequence[FoldedLayer]) -> None:
    """Refuse a recipe for another network.

    Raises:
        DofkitError: naming the first layer that the network has not.
    """
    unknown = sorted(set(names).difference(layer.name for layer in layers))
    if unknown:
        raise DofkitError(f"the network has no layer {unknown[0]!r} to keep in floats; run `dofkit sensitivity` again")


def names_in_file(
    names: Collection[str],
    layers: Sequence[FoldedLayer],
    stored: Sequence[Found],
    judge: Callable[[FoldedLayer, Found], Judged] = within_rounding,
) -> frozenset[str]:
    """Layers of a network by their names in its float32 file; one that is called several times has several there.

    Not every format carries the names of PyTorch's modules: the order of the calls tells which is which.

    Args:
        names: paths of the layers in the PyTorch network.
        layers, stored: all calls of convolutions, in the network and in the file.
        judge: holds one against the other.

    Raises:
        DofkitError: the file is not the network's.
    """
    wrong = next((entry for entry in compare_in_order(layers, stored, judge) if entry.problem), None)
    if wrong is not None:
        problem = f"{wrong.name}: {wrong.problem}"
        raise DofkitError(f"layers cannot be found in the file: {problem}; export it in fp32 or fp16")
    return frozenset(call.name for layer, call in zip(layers, stored, strict=True) if layer.name in names)

"""ONNX's part of an export: every stage converted once, and every precision made from that one file."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from ...runtime_ref.bundle import ModelEntry
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.target import Precision, Target
from ..folded import FoldedLayer, folded_layers
from ..job import Job, convert_each_stage
from ..stages import StageGraph
from ..stored import compare_weights
from .convert import OPSET, convert, convert_half
from .file import operators
from .quantise import quantise
from .stored import convolutions

DEPLOYMENT = f"ONNX opset {OPSET}"


def export(job: Job) -> list[ModelEntry]:
    """Write a file for every stage in every precision, and hold the weights in it against the network's.

    Raises:
        DofkitError: the recipe names a layer that a network has not, or there is nothing to calibrate on.
    """
    layers = {stage: folded_layers(graph.network, graph.example()) for stage, graph in job.graphs.items()}
    for stage, calls in layers.items():
        for precision in job.precisions:
            _refuse_unknown(job.kept_float(stage, precision), calls)
    entries = convert_each_stage(job, lambda graph, paths: _write(job, graph, paths), operators, DEPLOYMENT)
    return [_complete(job, entry, layers[entry.stage]) for entry in entries]


def _refuse_unknown(names: Collection[str], layers: Collection[FoldedLayer]) -> None:
    unknown = sorted(set(names).difference(layer.name for layer in layers))
    if unknown:
        raise DofkitError(f"the network has no layer {unknown[0]!r} to keep in floats; run `dofkit sensitivity` again")


def _write(job: Job, graph: StageGraph, paths: Mapping[Precision, Path]) -> None:
    """One stage in every precision."""
    # Beside the goal, so that a finished file only changes its name.
    with tempfile.TemporaryDirectory(dir=job.folder) as scratch:
        float32 = Path(scratch) / f"{graph.stage}{Target.ONNX.suffix}"
        convert(graph, float32)
        ranges = None
        if any(precision.needs_ranges for precision in paths):
            ranges = job.calibration.ranges(graph.stage, job.plan, Target.ONNX, float32)
        for precision, path in paths.items():
            match precision:
                case Precision.FP32:
                    path.write_bytes(float32.read_bytes())
                case Precision.FP16:
                    convert_half(graph, float32, path)
                case _:
                    quantise(float32, path, precision, ranges, job.kept_float(graph.stage, precision))


def _complete(job: Job, entry: ModelEntry, layers: list[FoldedLayer]) -> ModelEntry:
    """An entry with what its file stores."""
    stored = convolutions(job.folder / entry.path)
    kept = tuple(sorted(job.kept_float(entry.stage, entry.precision)))
    return entry.model_copy(update={"layers": compare_weights(layers, stored), "kept_float": kept})

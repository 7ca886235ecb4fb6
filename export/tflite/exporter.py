"""TFLite's part of an export: every stage converted once, and every precision made from that one file."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ...runtime_ref.bundle import ModelEntry
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.stage import Stage
from ...runtime_ref.target import Precision, Target
from ..folded import FoldedLayer, folded_layers
from ..job import Job, convert_each_stage
from ..stages import StageGraph
from ..stored import StoredConvolution, compare_weights
from .convert import convert
from .flatbuffer import operators
from .quantise import quantise
from .stored import convolutions

DEPLOYMENT = "LiteRT 1.0 (TFLite schema 3)"


def export(job: Job) -> list[ModelEntry]:
    """Write a file for every stage in every precision, and hold the weights in it against the network's.

    Raises:
        DofkitError: the recipe names a layer that a network has not, or there is nothing to calibrate on.
    """
    layers = {stage: folded_layers(graph.network, graph.example()) for stage, graph in job.graphs.items()}

    def write(graph: StageGraph, paths: Mapping[Precision, Path]) -> None:
        _write(job, graph, layers[graph.stage], paths)

    return [_complete(job, entry, layers) for entry in convert_each_stage(job, write, operators, DEPLOYMENT)]


def _write(job: Job, graph: StageGraph, layers: Sequence[FoldedLayer], paths: Mapping[Precision, Path]) -> None:
    """One stage in every precision."""
    # Beside the goal, so that a finished file only changes its name.
    with tempfile.TemporaryDirectory(dir=job.folder) as scratch:
        float32 = Path(scratch) / f"{graph.stage}{Target.TFLITE.suffix}"
        convert(graph, float32)
        ranges = None
        if any(precision.needs_ranges for precision in paths):
            ranges = job.calibration.ranges(graph.stage, job.plan, Target.TFLITE, float32)
        for precision, path in paths.items():
            if precision is not Precision.FP32:
                kept = names_in_file(job.kept_float(graph.stage, precision), layers, convolutions(float32))
                quantise(float32, path, precision, ranges, kept)
        if Precision.FP32 in paths:
            float32.rename(paths[Precision.FP32])


def names_in_file(
    names: Collection[str], layers: Sequence[FoldedLayer], stored: Sequence[StoredConvolution]
) -> frozenset[str]:
    """Layers of a network by their names in its float32 file; one that is called several times has several there.

    Args:
        names: paths of the layers in the PyTorch network.
        layers, stored: all calls of convolutions, in the network and in the file.

    Raises:
        DofkitError: the network has no such layer, or the file is not the network's.
    """
    unknown = sorted(set(names).difference(layer.name for layer in layers))
    if unknown:
        raise DofkitError(f"the network has no layer {unknown[0]!r} to keep in floats; run `dofkit sensitivity` again")
    if not names:
        return frozenset()
    # TFLite files do not carry the names of PyTorch's modules: only the order of the calls tells which is which.
    wrong = next((entry for entry in compare_weights(layers, stored) if entry.problem), None)
    if wrong is not None:
        raise DofkitError(f"layers cannot be found in the file: {wrong.name}: {wrong.problem}; export it without mixed")
    return frozenset(call.name for layer, call in zip(layers, stored, strict=True) if layer.name in names)


def _complete(job: Job, entry: ModelEntry, layers: Mapping[Stage, Sequence[FoldedLayer]]) -> ModelEntry:
    """An entry with what its file stores."""
    stored = convolutions(job.folder / entry.path)
    kept = tuple(sorted(job.kept_float(entry.stage, entry.precision)))
    return entry.model_copy(update={"layers": compare_weights(layers[entry.stage], stored), "kept_float": kept})

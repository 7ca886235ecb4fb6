"""The way of targets that have one file a stage: converted to float32 once, and every precision made from that file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..runtime_ref.bundle import ModelEntry, TensorEntry
from ..runtime_ref.pipeline.stage import Signal
from ..runtime_ref.target import Precision, Target
from .confined import confined
from .folded import NetworkWeights, graph_weights, weights_at_its_size
from .job import Job, Unit
from .labels import Stamp
from .layers import names_in_file, refuse_unknown
from .ranges import Ranges
from .stages import StageGraph
from .stored import StoredWeights

Derive = Callable[[StageGraph, Path, Path, Precision, "Ranges | None", Collection[str]], None]


@dataclass(frozen=True)
class Files:
    """What a target can do with files.

    Attributes:
        deployment: the least runtime that reads a file.
        convert: writes a stage in float32.
        derive: (stage, float32 file, goal, precision, ranges, kept) writes it in another precision; `kept` are names
            of the float32 file's convolutions that stay in floats.
        stored: how a file's weights are read and judged.
        operators: a file's operations and how often each stands in it.
        stamp: writes into a finished file what it says of itself.
        entry: a tensor as the manifest describes it.
        kept_fp32: the operations that a stage's file of a precision, written before, computes in fp32.
        weights: all that a stage computes with, which its files have to hold.
    """

    deployment: Callable[[Path], str]
    convert: Callable[[StageGraph, Path], None]
    derive: Derive
    stored: StoredWeights[Any]
    operators: Callable[[Path], dict[str, int]]
    stamp: Callable[[Path, Stamp], None]
    entry: Callable[[StageGraph, Signal, Target], TensorEntry] = StageGraph.entry
    kept_fp32: Callable[[StageGraph, Precision], tuple[str, ...]] = lambda *_: ()
    weights: Callable[[StageGraph], NetworkWeights] = graph_weights


@dataclass(frozen=True)
class Converted:
    """A unit in float32, which every other precision is made from.

    Attributes:
        unit: what it computes.
        weights: what the network computes with.
        path: the file.
        ranges: of its results, where a precision of the job needs them.
    """

    unit: Unit
    weights: NetworkWeights
    path: Path
    ranges: Ranges | None


def export_each_stage(job: Job, files: Files) -> list[ModelEntry]:
    """Write `STAGE.PRECISION.SUFFIX` for every stage and precision (`depth_HxW.…` at the depth network's further
    sizes); hold the weights in it against the network's.

    Raises:
        DofkitError: the recipe names a layer that a network has not, or there is nothing to calibrate on.
    """
    # Beside the goal, so that a finished file only changes its name.
    with tempfile.TemporaryDirectory(dir=job.folder) as scratch:
        return [
            entry
            for converted in convert_units(job, files, job.units(), Path(scratch))
            for entry in _export_unit(job, files, converted)
        ]


def convert_units(job: Job, files: Files, units: Iterable[Unit], scratch: Path) -> Iterator[Converted]:
    """Every unit in float32, in a folder.

    Raises:
        DofkitError: the recipe names a layer that a network has not, or there is nothing to calibrate on.
    """
    weights = {stage: files.weights(graph) for stage, graph in job.graphs.items()}
    for stage, found in weights.items():
        for precision in job.precisions:
            refuse_unknown(job.kept_float(stage, precision), found.names)
    for unit in units:
        job.report(f"convert {unit.name} to {job.target.title}")
        path = scratch / f"{unit.name}{job.target.suffix}"
        confined(unit.graph, job.target, partial(files.convert, unit.graph, path))
        ranges = None
        if any(precision.needs_ranges for precision in job.precisions):
            ranges = job.calibration.ranges(unit.graph.stage, unit.plan, job.target, path)
        yield Converted(unit, weights_at_its_size(unit.graph, weights), path, ranges)


def _export_unit(job: Job, files: Files, converted: Converted) -> Iterator[ModelEntry]:
    """One stage at one size, in every precision."""
    unit = converted.unit
    graph, target = unit.graph, job.target
    for precision in job.precisions:
        inside = job.inside(f"{unit.name}.{precision}")
        goal = job.folder / inside
        write_in(precision, job, files, converted, goal)
        files.stamp(goal, job.stamp({"main": graph}, precision, job.plan))
        yield ModelEntry(
            stage=graph.stage,
            target=target,
            precision=precision,
            path=inside,
            inputs=tuple(files.entry(graph, signal, target) for signal in graph.inputs),
            outputs=(files.entry(graph, graph.output, target),),
            operators=files.operators(goal),
            deployment=files.deployment(goal),
            depth_size=unit.depth_size,
            kept_fp32=files.kept_fp32(graph, precision),
            kept_float=tuple(sorted(job.kept_float(graph.stage, precision))),
            layers=files.stored.compare(converted.weights, goal),
        )


def write_in(precision: Precision, job: Job, files: Files, converted: Converted, goal: Path) -> None:
    """Write a unit in a precision."""
    if precision is Precision.FP32:
        _copy(converted.path, goal)
        return
    graph = converted.unit.graph
    names = job.kept_float(graph.stage, precision)
    kept = names_in_file(names, converted.weights, files.stored, converted.path)
    files.derive(graph, converted.path, goal, precision, converted.ranges, kept)


def _copy(model: Path, goal: Path) -> None:
    if model.is_dir():
        shutil.copytree(model, goal)
    else:
        shutil.copyfile(model, goal)

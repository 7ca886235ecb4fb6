"""One model for all stages: a program with an entry point for each stage and tile size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...runtime_ref.bundle import ModelEntry
from ...runtime_ref.coreai import Asset
from ...runtime_ref.pipeline.plan import PipelinePlan
from ...runtime_ref.pipeline.stage import Stage
from ...runtime_ref.target import Precision, Target
from ..each_stage import names_in_file, refuse_unknown
from ..folded import NetworkWeights, network_weights
from ..job import Job
from ..ranges import Ranges
from ..stages import StageGraph
from .convert import convert
from .joining import join
from .metadata import DEPLOYMENT, stamp_asset
from .quantise import quantise
from .stored import stored_convolutions, stored_weights

SINGLE = "portrait"  # the model's name


@dataclass(frozen=True)
class _Unit:
    """One entry point: a stage at one tile size, converted once for all precisions.

    Attributes:
        name: `lens_blur` at the plan's tile, `lens_blur_256` at another.
        graph: what it computes.
        float32: its own model in float32.
        tile: None at the plan's size.
        ranges: of its results, where a precision needs them.
    """

    name: str
    graph: StageGraph
    float32: Path
    tile: int | None
    weights: NetworkWeights
    ranges: Ranges | None


def export_joined(job: Job) -> list[ModelEntry]:
    """Write `portrait.PRECISION.aimodel` for every precision; hold the weights in it against the networks'."""
    with tempfile.TemporaryDirectory(dir=job.folder) as scratch:
        units = list(_units(job, Path(scratch)))
        return [entry for precision in job.precisions for entry in _export(job, precision, units, Path(scratch))]


def _units(job: Job, scratch: Path) -> Iterator[_Unit]:
    for stage, graph in job.graphs.items():
        weights = network_weights(graph.network, graph.example())
        for precision in job.precisions:
            refuse_unknown(job.kept_float(stage, precision), weights.convolutions)
        for tile in (None, *(job.coreml.tiles if stage is not Stage.DEPTH else ())):
            name = stage.value if tile is None else f"{stage}_{tile}"
            sized, plan = (graph, job.plan) if tile is None else (graph.resized(tile), job.plan.with_tiles(tile))
            job.report(f"convert {name} to {job.target.title}")
            float32 = scratch / f"{name}{job.target.suffix}"
            convert(sized, float32)
            yield _Unit(name, sized, float32, tile, weights, _ranges(job, stage, plan, float32))


def _ranges(job: Job, stage: Stage, plan: PipelinePlan, float32: Path) -> Ranges | None:
    if not any(precision.needs_ranges for precision in job.precisions):
        return None
    return job.calibration.ranges(stage, plan, job.target, float32)


def _export(job: Job, precision: Precision, units: list[_Unit], scratch: Path) -> Iterator[ModelEntry]:
    parts = {unit.name: _in_precision(job, precision, unit, scratch) for unit in units}
    inside = job.inside(f"{SINGLE}.{precision}")
    goal = job.folder / inside
    join(parts, goal)
    functions: Mapping[str, StageGraph] = {unit.name: unit.graph for unit in units}
    stamp_asset(goal, job.stamp(functions, precision, job.plan))
    asset = Asset(goal)
    for unit in units:
        graph = unit.graph
        yield ModelEntry(
            stage=graph.stage,
            target=Target.COREAI,
            precision=precision,
            path=inside,
            inputs=tuple(graph.entry(signal, Target.COREAI) for signal in graph.inputs),
            outputs=(graph.entry(graph.output, Target.COREAI),),
            operators=asset.function(unit.name).operators,
            deployment=DEPLOYMENT,
            function=unit.name,
            tile=unit.tile,
            kept_float=tuple(sorted(job.kept_float(graph.stage, precision))),
            layers=stored_weights(unit.name).compare(unit.weights, goal),
        )


def _in_precision(job: Job, precision: Precision, unit: _Unit, scratch: Path) -> Path:
    """A unit's own model in a precision."""
    if precision is Precision.FP32:
        return unit.float32
    goal = scratch / f"{unit.name}.{precision}{job.target.suffix}"
    names, judge = job.kept_float(unit.graph.stage, precision), stored_weights().judge
    calls = stored_convolutions(unit.float32) if names else []
    kept = names_in_file(names, unit.weights.convolutions, calls, judge) if names else frozenset()
    quantise(unit.float32, goal, precision, unit.ranges, kept)
    return goal

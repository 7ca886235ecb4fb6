"""One model for all stages: a program with an entry point for each stage and size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from ...runtime_ref.bundle import ModelEntry
from ...runtime_ref.coreai import Asset
from ...runtime_ref.target import Precision
from ..each_stage import Converted, Files, convert_units, write_in
from ..job import Job
from .joining import join
from .stored import stored_weights

SINGLE = "portrait"  # the model's name


def export_joined(job: Job, files: Files) -> list[ModelEntry]:
    """Write `portrait.PRECISION.aimodel` for every precision; hold the weights in it against the networks'.

    Raises:
        DofkitError: see `export_each_stage`.
    """
    with tempfile.TemporaryDirectory(dir=job.folder) as scratch:
        units = list(convert_units(job, files, job.units(job.coreml.tiles), Path(scratch)))
        return [entry for precision in job.precisions for entry in _export(precision, job, files, units, Path(scratch))]


def _export(
    precision: Precision, job: Job, files: Files, units: list[Converted], scratch: Path
) -> Iterator[ModelEntry]:
    parts = {each.unit.name: scratch / f"{each.unit.name}.{precision}{job.target.suffix}" for each in units}
    for each in units:
        write_in(precision, job, files, each, parts[each.unit.name])
    inside = job.inside(f"{SINGLE}.{precision}")
    goal = job.folder / inside
    join(parts, goal)
    files.stamp(goal, job.stamp({each.unit.name: each.unit.graph for each in units}, precision, job.plan))
    asset = Asset(goal)
    for each in units:
        unit, graph = each.unit, each.unit.graph
        yield ModelEntry(
            stage=graph.stage,
            target=job.target,
            precision=precision,
            path=inside,
            inputs=tuple(files.entry(graph, signal, job.target) for signal in graph.inputs),
            outputs=(files.entry(graph, graph.output, job.target),),
            operators=asset.function(unit.name).operators,
            deployment=files.deployment(goal),
            function=unit.name,
            tile=unit.tile,
            depth_size=unit.depth_size,
            kept_fp32=files.kept_fp32(graph, precision),
            kept_float=tuple(sorted(job.kept_float(graph.stage, precision))),
            layers=stored_weights(unit.name).compare(each.weights, goal),
        )

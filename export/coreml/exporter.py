"""Core ML's part of an export: every stage in every precision, as packages of their own or functions of one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...runtime_ref.bundle import ModelEntry
from ...runtime_ref.pipeline.stage import Stage
from ...runtime_ref.target import Precision, Target
from ..confined import confined
from ..folded import NetworkWeights, graph_weights, weights_at_its_size
from ..fp32_budget import reach_budget
from ..job import Job, Unit
from ..keep_fp32 import KeepFp32, refuse_unmatched
from ..layers import names_in_file
from ..stages import StageGraph
from .convert import TracedStage
from .features import tensor_entry
from .half_programs import float_programs
from .metadata import Description
from .multifunction import join_packages
from .quantise import quantise
from .stored import StoredProgram
from .tools import canonicalise
from .weights import stored_weights

SINGLE = "portrait"  # the single package's name; its default function is the first stage's


@dataclass(frozen=True)
class _Traced:
    """A unit, traced once for all precisions."""

    unit: Unit
    stage: TracedStage
    weights: NetworkWeights

    @property
    def name(self) -> str:
        return self.unit.name

    @property
    def graph(self) -> StageGraph:
        return self.unit.graph


@dataclass(frozen=True)
class _Written:
    """A unit's package in one precision."""

    unit: _Traced
    path: Path
    keep: KeepFp32


def export(job: Job) -> list[ModelEntry]:
    """Write all packages of a job.

    Raises:
        DofkitError: on a name to keep in fp32 that is nowhere, a budget out of reach, a network that cannot be
            converted faithfully.
    """
    written: dict[Precision, list[_Written]] = {precision: [] for precision in job.precisions}
    keeps: dict[Stage, tuple[str, ...]] = {}
    # Beside the goal, so that a finished package only changes its name.
    with tempfile.TemporaryDirectory(dir=job.folder) as scratch:
        for unit in _units(job):
            job.report(f"convert {unit.name} to {job.target.title}")
            if unit.unit.is_planned:
                keeps[unit.graph.stage] = _choose_fp32(job, unit, Path(scratch))
            for precision in job.precisions:
                keep = KeepFp32(keeps[unit.graph.stage] if precision is Precision.FP16 else ())
                written[precision].append(_write(job, unit, precision, keep, Path(scratch)))
        if job.coreml.fp32_budget is None and Precision.FP16 in job.precisions:
            refuse_unmatched(package.keep for package in written[Precision.FP16])
        collect = _join if job.coreml.single_package else _collect
        return [entry for precision, packages in written.items() for entry in collect(job, precision, packages)]


def _units(job: Job) -> Iterator[_Traced]:
    weights = {stage: graph_weights(graph) for stage, graph in job.graphs.items()}
    for unit in job.units(job.coreml.tiles):
        yield _Traced(unit, TracedStage(unit.graph, job.coreml), weights_at_its_size(unit.graph, weights))


def _choose_fp32(job: Job, unit: _Traced, scratch: Path) -> tuple[str, ...]:
    """Patterns of the operations that fp16 models of a stage keep in fp32."""
    patterns = job.coreml.keep_fp32
    if job.coreml.fp32_budget is None:
        return patterns
    golden = job.golden_of(unit.graph)
    programs = float_programs(unit.stage, scratch)
    return reach_budget(programs, KeepFp32(patterns), job.coreml.fp32_budget, golden)


def _write(job: Job, unit: _Traced, precision: Precision, keep: KeepFp32, scratch: Path) -> _Written:
    """One unit as a package in the scratch folder."""
    path = scratch / f"{unit.name}.{precision}.mlpackage"
    keep = confined(unit.graph, Target.COREML, partial(unit.stage.write, path, precision, keep))
    canonicalise(path)  # calibrations are remembered by content, and coremltools writes maps in random order
    if precision.weight_bits is None:
        return _Written(unit, path, keep)
    kept = job.kept_float(unit.graph.stage, precision)
    left = names_in_file(kept, unit.weights, stored_weights(), path)
    ranges = None
    if precision.needs_ranges:
        ranges = job.calibration.ranges(unit.graph.stage, unit.unit.plan, Target.COREML, path)
    goal = scratch / f"{unit.name}.{precision}.compressed.mlpackage"
    quantise(path, goal, precision, ranges, left)
    return _Written(unit, goal, keep)


def _collect(job: Job, precision: Precision, packages: list[_Written]) -> Iterator[ModelEntry]:
    """Each package on its own, in the bundle."""
    for package in packages:
        inside = job.inside(f"{package.unit.name}.{precision}")
        package.path.rename(job.folder / inside)
        _seal(job, precision, inside, {"main": package.unit.graph})
        yield _entry(job, precision, package, inside, None)


def _join(job: Job, precision: Precision, packages: list[_Written]) -> Iterator[ModelEntry]:
    """All packages as functions of one."""
    inside = job.inside(f"{SINGLE}.{precision}")
    functions = {package.unit.name: package for package in packages}
    join_packages({name: p.path for name, p in functions.items()}, packages[0].unit.name, job.folder / inside)
    _seal(job, precision, inside, {name: package.unit.graph for name, package in functions.items()})
    for name, package in functions.items():
        yield _entry(job, precision, package, inside, name)


def _seal(job: Job, precision: Precision, inside: str, functions: dict[str, StageGraph]) -> None:
    """Metadata, then canonical bytes."""
    canonicalise(job.folder / inside, Description(functions, job.stamp(functions, precision, job.plan)))


def _entry(job: Job, precision: Precision, package: _Written, inside: str, function: str | None) -> ModelEntry:
    """The manifest's entry, read from the package as it lies in the bundle."""
    graph, options = package.unit.graph, job.coreml
    stored = StoredProgram(job.folder / inside, function)
    return ModelEntry(
        stage=graph.stage,
        target=Target.COREML,
        precision=precision,
        path=inside,
        inputs=tuple(tensor_entry(graph, signal, options) for signal in graph.inputs),
        outputs=(tensor_entry(graph, graph.output, options),),
        operators=stored.operators(),
        deployment=options.deployment.title,
        function=function,
        tile=package.unit.unit.tile,
        depth_size=package.unit.unit.depth_size,
        kept_fp32=tuple(package.keep.kept),
        kept_float=tuple(sorted(job.kept_float(graph.stage, precision))),
        layers=stored_weights(function).compare(package.unit.weights, job.folder / inside),
    )

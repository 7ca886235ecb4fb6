"""Core AI's part of an export."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from functools import partial
from pathlib import Path

from ...runtime_ref.bundle import ModelEntry
from ...runtime_ref.coreai import Asset
from ...runtime_ref.pipeline.stage import Stage
from ...runtime_ref.target import Precision
from ..each_stage import Files, export_each_stage
from ..fp32_budget import FloatPrograms, reach_budget
from ..job import Job
from ..keep_fp32 import KeepFp32, refuse_unmatched
from ..ranges import Ranges
from ..stages import StageGraph
from .buffers import buffer_entry, pictures
from .convert import convert
from .half import cast, geometry
from .joined import export_joined
from .metadata import DEPLOYMENT, stamp_asset
from .quantise import quantise
from .stored import operators, stored_weights


def export(job: Job) -> list[ModelEntry]:
    """Write a model for every stage in every precision, or one of all stages for every precision.

    Raises:
        DofkitError: a network that cannot be converted faithfully, a recipe for another network, a name to keep in fp32
            that is nowhere, a budget out of reach.
    """
    halves = _Halves(job)
    buffers = job.coreml.image_inputs
    files = Files(
        deployment=lambda _: DEPLOYMENT,
        convert=partial(convert, buffers=buffers),
        derive=halves.derive,
        stored=stored_weights(),
        operators=operators,
        stamp=stamp_asset,
        entry=buffer_entry if buffers else StageGraph.entry,
        kept_fp32=halves.kept,
    )
    entries = export_joined(job, files) if job.coreml.single_package else export_each_stage(job, files)
    halves.refuse_unmatched()
    return entries


class _Halves:
    """Writes all precisions but fp32, and remembers what fp16 models keep in fp32: chosen at a stage's first size."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._keeps: list[KeepFp32] = []
        self._kept: dict[Stage, tuple[str, ...]] = {}

    def derive(
        self, graph: StageGraph, float32: Path, goal: Path, precision: Precision, ranges: Ranges | None,
        kept: Collection[str],
    ) -> None:  # fmt: skip
        """See `Files.derive`."""
        keep = None
        if precision is Precision.FP16:
            keep = KeepFp32(self._patterns(graph, float32))
            self._keeps.append(keep)
        quantise(float32, goal, precision, ranges, kept, keep, graph.rewritten)
        if keep is not None:
            self._kept.setdefault(graph.stage, tuple(keep.kept))

    def kept(self, graph: StageGraph, precision: Precision) -> tuple[str, ...]:
        """See `Files.kept_fp32`."""
        return self._kept[graph.stage] if precision is Precision.FP16 else ()

    def refuse_unmatched(self) -> None:
        """Refuse a name to keep that no network has.

        Raises:
            DofkitError: naming it.
        """
        if self._job.coreml.fp32_budget is None:
            refuse_unmatched(self._keeps)

    def _patterns(self, graph: StageGraph, float32: Path) -> tuple[str, ...]:
        options = self._job.coreml
        if options.fp32_budget is None:
            return options.keep_fp32
        if graph.stage in self._kept:
            return self._kept[graph.stage]
        with tempfile.TemporaryDirectory(dir=self._job.folder) as scratch:
            golden = self._job.golden_of(graph)
            programs = self._programs(graph, float32, Path(scratch))
            return reach_budget(programs, KeepFp32(options.keep_fp32), options.fp32_budget, golden)

    def _programs(self, graph: StageGraph, float32: Path, scratch: Path) -> FloatPrograms:
        def write(precision: Precision, keep: KeepFp32) -> Asset:
            if precision is Precision.FP32:
                return Asset(float32)
            goal = scratch / f"{graph.stage}.aimodel"
            quantise(float32, goal, precision, None, (), keep, graph.rewritten)
            return Asset(goal)

        pixels = pictures(graph) if self._job.coreml.image_inputs else ()
        return FloatPrograms(graph, write, pixels, cast, geometry)

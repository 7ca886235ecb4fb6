"""Core AI's part of an export."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ...runtime_ref.bundle import ModelEntry
from ...runtime_ref.target import Precision
from ..each_stage import Files, export_each_stage
from ..job import Job
from ..ranges import Ranges
from ..stages import StageGraph
from .convert import convert
from .joined import export_joined
from .metadata import DEPLOYMENT, stamp_asset
from .quantise import quantise
from .stored import operators, stored_weights


def export(job: Job) -> list[ModelEntry]:
    """Write a model for every stage in every precision, or one of all stages for every precision.

    Raises:
        DofkitError: a network that cannot be converted faithfully, a recipe for another network.
    """
    files = Files(DEPLOYMENT, convert, _derive, stored_weights(), operators, stamp_asset)
    return export_joined(job, files) if job.coreml.single_package else export_each_stage(job, files)


def _derive(
    graph: StageGraph, float32: Path, goal: Path, precision: Precision, ranges: Ranges | None, kept: Collection[str]
) -> None:
    del graph
    quantise(float32, goal, precision, ranges, kept)

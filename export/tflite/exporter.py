"""TFLite's part of an export."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ...runtime_ref.bundle import ModelEntry
from ...runtime_ref.target import Precision
from ...runtime_ref.tflite_file import operators
from ..each_stage import Files, export_each_stage
from ..job import Job
from ..ranges import Ranges
from ..stages import StageGraph
from .convert import convert
from .editing import write_stamp
from .quantise import quantise
from .stored import STORED


def export(job: Job) -> list[ModelEntry]:
    """Write a file for every stage in every precision; see `export_each_stage`."""
    return export_each_stage(
        job, Files(lambda _: "LiteRT 1.0 (TFLite schema 3)", convert, _derive, STORED, operators, write_stamp)
    )


def _derive(
    graph: StageGraph, float32: Path, goal: Path, precision: Precision, ranges: Ranges | None, kept: Collection[str]
) -> None:
    del graph
    quantise(float32, goal, precision, ranges, kept)

"""ONNX's part of an export."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

from ...runtime_ref.bundle import ModelEntry
from ...runtime_ref.target import Precision, Target
from ..confined import confined
from ..each_stage import Files, export_each_stage
from ..job import Job
from ..ranges import Ranges
from ..stages import StageGraph
from .convert import OPSET, convert, convert_half
from .file import operators, write_stamp
from .quantise import quantise
from .stored import STORED


def export(job: Job) -> list[ModelEntry]:
    """Write a file for every stage in every precision; see `export_each_stage`."""
    return export_each_stage(job, Files(f"ONNX opset {OPSET}", convert, _derive, STORED, operators, write_stamp))


def _derive(
    graph: StageGraph, float32: Path, goal: Path, precision: Precision, ranges: Ranges | None, kept: Collection[str]
) -> None:
    if precision is Precision.FP16:
        confined(graph, Target.ONNX, partial(convert_half, graph, float32, goal))
    else:
        quantise(float32, goal, precision, ranges, kept)

"""ONNX's part of an export."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

from ...runtime_ref.bundle import ModelEntry
from ...runtime_ref.target import Precision, Target
from ..confined import confined
from ..each_stage import Files, export_each_stage
from ..folded import NetworkWeights, graph_weights
from ..job import Job
from ..ranges import Ranges
from ..rewrites.halves import ends
from ..stages import StageGraph
from .brought import file_weights
from .convert import convert, convert_half
from .file import deployment, operators, write_stamp
from .quantise import quantise
from .stored import STORED


def export(job: Job) -> list[ModelEntry]:
    """Write a file for every stage in every precision; see `export_each_stage`."""
    files = Files(
        deployment, convert, _derive, STORED, operators, write_stamp, kept_fp32=kept_fp32, weights=weights
    )  # fmt: skip
    return export_each_stage(job, files)


def weights(graph: StageGraph) -> NetworkWeights:
    """What a stage computes with: PyTorch's weights, or those of the ONNX file that was brought."""
    return graph_weights(graph) if graph.onnx is None else file_weights(graph)


def kept_fp32(graph: StageGraph, precision: Precision) -> tuple[str, ...]:
    """The operations of a brought network that its fp16 file computes in fp32."""
    is_half = precision is Precision.FP16 and graph.rewritten and graph.onnx is None
    return tuple(node.name for node in ends(graph.computed)) if is_half else ()


def _derive(
    graph: StageGraph, float32: Path, goal: Path, precision: Precision, ranges: Ranges | None, kept: Collection[str]
) -> None:
    if precision is Precision.FP16:
        confined(graph, Target.ONNX, partial(convert_half, graph, float32, goal))
    else:
        quantise(float32, goal, precision, ranges, kept)

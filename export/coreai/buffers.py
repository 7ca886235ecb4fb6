"""Camera buffers instead of tensors: an entry point's pictures become 32BGRA images, divided by 255 in the program.

Maps stay tensors: Core AI's images hold 8-bit pixels only.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from ...runtime_ref.bundle import TensorEntry
from ...runtime_ref.coreai.program import block_of, entry_points, names_of
from ...runtime_ref.pipeline.stage import Signal
from ...runtime_ref.target import Target
from ..stages import StageGraph
from .building import constant
from .half import replace_uses
from .tools import dialect, image_type, ir

PIXEL_MAX = 255.0


def pictures(graph: StageGraph) -> tuple[str, ...]:
    """The inputs of a stage that a camera buffer can hold."""
    return tuple(signal.name for signal in graph.inputs if signal.channels == 3)


def buffer_entry(graph: StageGraph, signal: Signal, target: Target) -> TensorEntry:
    """An input or output, as the manifest describes it, of a model that takes buffers."""
    entry = graph.entry(signal, target)
    if signal is graph.output or signal.name not in pictures(graph):
        return entry
    return entry.model_copy(update={"image": "BGRA", "dtype": "uint8", "low": 0.0, "high": PIXEL_MAX})


def take_buffers(module: Any, names: Collection[str]) -> None:
    """Exchange float32 inputs `[1, 3, H, W]` in [0, 1] for images.

    Given:   image: tensor<1x3xHxWxf32> ─► the program
    Result:  image: image<32BGRA, H, W> ─► pixels [H, W, 4] ─► RGB ─► / 255 ─► [1, 3, H, W] ─► the program

    Args:
        module: a program in float32.
        names: the inputs to exchange; those of that name in every entry point.
    """
    mlir = ir()
    for graph in entry_points(module).values():
        block = block_of(graph)
        with graph.context, graph.location:
            for argument, name in zip(block.arguments, names_of(graph, "arg_attrs"), strict=True):
                if name in names:
                    _exchange(argument, block)
            kinds = graph.attributes["function_type"].value
            declared = mlir.FunctionType.get([value.type for value in block.arguments], list(kinds.results))
            graph.attributes["function_type"] = mlir.TypeAttr.get(declared)
    module.operation.verify()


def _exchange(argument: Any, block: Any) -> None:
    mlir, ops = ir(), dialect()
    _, channels, height, width = argument.type.shape
    plain = mlir.RankedTensorType.get([height, width, channels], mlir.F32Type.get())
    with mlir.InsertionPoint(block.operations[0].operation):
        kept = _integers(0, 0, 0), _integers(height, width, channels), _integers(1, 1, 1)
        places, planes, batch, largest = _integers(2), _sizes(2, 0, 1), _integers(0), _scalar(PIXEL_MAX)
        argument.set_type(image_type(height, width))
        pixels = ops.ImageToTensorOp(argument)
        rgb = ops.ReverseOp(ops.SliceOp(pixels.result, *kept).result, places)
        unit = ops.broadcasting_divide(ops.CastOp(plain, rgb.result).result, largest)
        value = ops.ExpandDimsOp(ops.TransposeOp(unit, planes).result, batch).result
    replace_uses(argument, value, lambda user, _: user != pixels.operation)


def _integers(*values: int) -> Any:
    return constant(np.array(values, np.int32), "si32")


def _sizes(*values: int) -> Any:
    return constant(np.array(values, np.uint32), "ui32")


def _scalar(value: float) -> Any:
    return constant(np.full((1, 1, 1), value, np.float32), "f32")

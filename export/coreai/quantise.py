"""A saved program in float32 → one in float16, with weights, and for some precisions activations, in fewer bits."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_never

from ...runtime_ref.coreai.program import CONSTANT, block_of, entry_points, kind, value_names
from ...runtime_ref.target import Precision
from ..coreml.palette import palettise
from ..coreml.weights import linear_levels
from ..keep_fp32 import KeepFp32
from ..precision import LEAST_WEIGHTS
from ..ranges import Ranges
from .building import constant, stored_floats
from .half import to_half_precision
from .tools import dialect, ir, open_module, save

Array = NDArray[Any]

# int4 takes the largest of these that divides a layer's input channels; without one the layer stays as it is.
BLOCKS = (32, 16, 8)
_CONVOLUTION, _PRODUCT = "conv2d", "broadcasting_batch_matmul"
_STEPS = 255  # of int8 over a range


def quantise(
    base: Path,
    goal: Path,
    precision: Precision,
    ranges: Ranges | None,
    kept: Collection[str],
    keep_fp32: KeepFp32 | None = None,
    careful: bool = False,
) -> None:
    """Write a program in another precision.

    Args:
        base: a program in float32.
        goal: where the result goes.
        precision: any but fp32.
        ranges: of the base's results, for precisions that quantise activations.
        kept: names of convolutions and fully connected layers that stay in floats, as `StoredFunction` has them.
        keep_fp32: operations that are computed in float32.
        careful: see `to_half_precision`.
    """
    module = open_module(base)
    calls = [call for graph in entry_points(module).values() for call in _to_quantise(graph, kept)]
    if precision.needs_ranges:
        assert ranges is not None, f"{precision} needs ranges"
        for graph in entry_points(module).values():
            names = value_names(graph)
            for call in calls:
                if call.operands[0] in names:
                    _round_input(call, ranges[names[call.operands[0]]])
    to_half_precision(module, keep_fp32, careful)
    if precision.weight_bits is not None:
        for weight in dict.fromkeys(map(_stored_weight, calls)):  # other constants than before: they were rounded
            assert weight is not None
            _compress(weight.owner, precision)
    module.operation.verify()
    save(module, goal)


def _to_quantise(graph: Any, kept: Collection[str]) -> Iterator[Any]:
    """The layers of a graph whose weights are stored numbers and worth storing in fewer bits."""
    names = value_names(graph)
    for operation in block_of(graph).operations:
        call = operation.operation
        if kind(call) in (_CONVOLUTION, _PRODUCT) and names[call.results[0]] not in kept:
            weight = _stored_weight(call)
            if weight is not None and prod(weight.type.shape) >= LEAST_WEIGHTS:
                yield call


def _stored_weight(call: Any) -> Any | None:
    """The constant that a layer's weight is; of a fully connected layer one that is transposed first, `[O, I]`."""
    weight = call.operands[1]
    if kind(call) == _PRODUCT:
        if isinstance(weight, ir().BlockArgument) or kind(weight.owner) != "transpose":
            return None
        weight = weight.owner.operands[0]
        if len(weight.type.shape) != 2:
            return None
    stored = not isinstance(weight, ir().BlockArgument) and weight.owner.name == CONSTANT
    return weight if stored else None


def _round_input(call: Any, bounds: tuple[float, float]) -> None:
    """Round a convolution's input to int8 over a range that holds 0, with a zero point.

    Most inputs follow a ReLU: a symmetric range would spend half of its steps on what is not there.
    """
    mlir, ops = ir(), dialect()
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    scale = np.float16((high - low) / _STEPS)  # as it is stored: the zero point belongs to this scale
    if not scale > 0:
        return
    zero = np.int8(np.clip(np.rint(-128 - low / float(scale)), -128, 127))
    value = call.operands[0]
    with call.context, call.location, mlir.InsertionPoint(call):
        axes = constant(np.arange(len(value.type.shape), dtype=np.int32), "si32")
        stored = (scale.astype(np.float32), "f32"), (zero, "si8"), (np.float32(0), "f32")
        parts = [constant(np.asarray(number), element) for number, element in stored]
        rounded = ops.QuantizeOp(value, *parts, axes).result
        call.operands[0] = ops.DequantizeOp(rounded, *parts, axes).result


def _compress(operation: Any, precision: Precision) -> None:
    """Exchange a constant for fewer bits and their decompression."""
    mlir, ops = ir(), dialect()
    weight = stored_floats(operation)
    with operation.context, operation.location, mlir.InsertionPoint(operation):
        match precision:
            case Precision.W8 | Precision.W8A8 | Precision.MIXED:
                value = _levels(weight, (len(weight), *(1,) * (weight.ndim - 1)), 8)
            case Precision.W4:
                block = next((size for size in BLOCKS if weight.shape[1] % size == 0), None)
                if block is None:
                    return
                value = _levels(weight, (len(weight), weight.shape[1] // block, *(1,) * (weight.ndim - 2)), 4)
            case Precision.PALETTE4 | Precision.PALETTE6 | Precision.PALETTE8:
                bits = precision.palette_bits or 0
                palette, indices = palettise(weight, bits)
                table = np.asarray(palette, np.float16).reshape(*(1,) * weight.ndim, -1, 1)
                stored = constant(indices.reshape(weight.shape).astype(np.uint8), f"ui{bits}")
                value = ops.LutToDenseOp(stored, constant(table, "f16"), constant(np.array(0, np.int16), "si16")).result
            case Precision.FP32 | Precision.FP16 | Precision.DYNAMIC:
                raise ValueError(f"{precision} does not compress weights of Core AI models")
            case _:
                assert_never(precision)
    operation.results[0].replace_all_uses_with(value)
    operation.erase()


def _levels(weight: Array, counts: tuple[int, ...], bits: int) -> Any:
    """w = scale · q, one scale for each channel or block."""
    spread, integers = linear_levels(weight, counts, bits)
    firsts = tuple(slice(None, None, size // count) for size, count in zip(weight.shape, counts, strict=True))
    scale = np.ascontiguousarray(spread[firsts])
    zero = constant(np.zeros(counts, np.int8), f"si{bits}")
    none = constant(np.zeros(counts, np.float16), "f16")
    return dialect().BlockwiseShiftScaleOp(constant(integers, f"si{bits}"), constant(scale, "f16"), zero, none).result

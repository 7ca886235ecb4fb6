"""Weights stored in fewer bits, and activations rounded to integers and back."""

from __future__ import annotations

import numpy as np

from ...mil.arrays import Array
from ...mil.ops.compression import along, constexpr_lut_to_dense, to_blocks
from ...mil.program import TensorType
from ...mil.registry import Context
from ..registry import op


@op("blockwise_shift_scale", "constexpr_blockwise_shift_scale")
def blockwise_shift_scale(context: Context, data: Array, scale: Array, offset1: Array, offset2: Array) -> Array:
    """w = scale · (q − offset1) + offset2, each of a block; blocks are data.shape / scale.shape large."""
    shift, factor, base = (to_blocks(part.astype(context.compute), data.shape) for part in (offset1, scale, offset2))
    return factor * (data.astype(context.compute) - shift) + base


@op("lut_to_dense", "constexpr_lut_to_dense")
def lut_to_dense(indices: Array, lut: Array, axis: int) -> Array:
    """w = lut[block, index]; entries longer than 1 are laid out along an axis. lut `[*blocks, entries, vector]`."""
    return constexpr_lut_to_dense(indices, lut, axis)


@op("quantize")
def quantize(context: Context, input: Array, scale: Array, offset1: Array, offset2: Array, axis: Array) -> Array:
    """q = clip(round((x − offset2) / scale) + offset1) to the result's type; ties to even."""
    place = None if axis.ndim else int(axis)
    factor, zero, base = (along(part, place, input.ndim) for part in (scale, offset1, offset2))
    values = np.rint((input - base) / factor) + zero.astype(context.compute)
    _, declared = context.operation.outputs[0]
    assert isinstance(declared, TensorType)
    return np.clip(values, *declared.element.limits).astype(declared.element.storage)


@op("dequantize")
def dequantize(context: Context, input: Array, scale: Array, offset1: Array, offset2: Array, axis: Array) -> Array:
    """x = (q − offset1) · scale + offset2."""
    place = None if axis.ndim else int(axis)
    factor, zero, base = (along(part, place, input.ndim) for part in (scale, offset1, offset2))
    return (input.astype(context.compute) - zero.astype(context.compute)) * factor + base

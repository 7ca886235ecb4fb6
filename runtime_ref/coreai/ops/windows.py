"""Convolutions, pooling and interpolation; padding is an operation of its own."""

from __future__ import annotations

import numpy as np

from ...mil.arrays import Array
from ...mil.ops import conv as mil_conv
from ...mil.ops import pool as mil_pool
from ...mil.ops.image_resizing import linear_along
from ...mil.registry import Ints
from ..registry import op


@op("conv2d")
def conv2d(input: Array, weight: Array, stride: Ints, dilation: Ints, groups: int) -> Array:
    """y[n, o, p] = Σ w[o, c, k] · x[n, c, p · stride + k · dilation], by groups; no padding, no bias."""
    return mil_conv.conv(input, weight, strides=stride, dilations=dilation, groups=groups)


@op("conv_transpose2d")
def conv_transpose2d(
    input: Array, weight: Array, stride: Ints, padding: Ints, dilation: Ints, output_pad: Ints, groups: int
) -> Array:
    """The gradient of `conv2d`, with the first and last `padding` pixels cut off, `output_pad` more at the end."""
    sizes = [
        (size - 1) * step + (kernel - 1) * spread + 1 - 2 * cut + more
        for size, step, kernel, spread, cut, more in zip(
            input.shape[2:], stride, weight.shape[2:], dilation, padding, output_pad, strict=True
        )
    ]
    pad = tuple(cut for cut in padding for _ in range(2))
    shape = (len(input), weight.shape[1] * groups, *sizes)
    return mil_conv.conv_transpose(input, weight, None, pad, shape, "custom", stride, dilation, groups)


@op("max_pool_2d")
def max_pool_2d(input: Array, kernel_size: Ints, stride: Ints, dilation: Ints, ceil_mode: bool = False) -> Array:
    """The greatest value of every window."""
    _refuse_dilation(dilation)
    return mil_pool.max_pool(input, kernel_size, "valid", stride, ceil_mode=ceil_mode)


@op("sum_pool_2d")
def sum_pool_2d(input: Array, kernel_size: Ints, strides: Ints, dilation: Ints) -> Array:
    """The sum of every window."""
    _refuse_dilation(dilation)
    return mil_pool.sum_pool(input, kernel_size, strides)


def _refuse_dilation(dilation: Ints) -> None:
    if set(dilation) != {1}:
        raise ValueError(f"pooling with the dilation {list(dilation)} is not known; 1 is")


@op("interpolate")
def interpolate(
    input: Array, output_shape: Ints, scale: Array, offset: Array, interpolation_mode: str = "linear"
) -> Array:
    """Axis k sampled at (i + ½ − offset) / scale − ½, cut to the axis; linear, or the nearest of two the even one."""
    result = input
    for axis, (count, factor, shift) in enumerate(zip(output_shape, scale, offset, strict=True)):
        size = input.shape[axis]
        grid = np.clip((np.arange(count, dtype=scale.dtype) + 0.5 - shift) / factor - 0.5, 0, size - 1)
        if count == size and np.array_equal(grid, np.arange(size)):
            continue
        if interpolation_mode == "linear":
            result = linear_along(result, grid, axis)
        else:
            result = np.take(result, np.rint(grid).astype(np.intp), axis)
    return result

"""Pooling of one to three spatial axes; a window's sum or maximum is taken axis by axis."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..registry import Ints, op
from ._windows import Pads, output_size, padded, paddings


@op("avg_pool")
def avg_pool(
    x: Array,
    kernel_sizes: Ints,
    pad_type: str,
    strides: Ints = (),
    pad: Ints = (),
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
) -> Array:
    """Mean over windows; padding counts as zeros, or not at all if `exclude_padding_from_average`."""
    strides = strides or (1,) * len(kernel_sizes)
    pads = paddings(pad_type, pad, x.shape[2:], kernel_sizes, strides)
    total = _pool(np.add, x, kernel_sizes, strides, pads, 0.0, ceil_mode)
    for axis, (size, kernel, stride, (before, after)) in enumerate(
        zip(x.shape[2:], kernel_sizes, strides, pads, strict=True)
    ):
        # What a window covers of the picture, or of the picture and its padding; what ceil mode adds never counts.
        begin = np.arange(total.shape[2 + axis]) * stride - before
        low, high = (0, size) if exclude_padding_from_average else (-before, size + after)
        covered = np.minimum(begin + kernel, high) - np.maximum(begin, low)
        total /= np.maximum(covered, 1).astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 3 - axis))
    return total


@op("max_pool")
def max_pool(
    x: Array, kernel_sizes: Ints, pad_type: str, strides: Ints = (), pad: Ints = (), ceil_mode: bool = False
) -> Array:
    """Maximum over windows; padding never wins."""
    strides = strides or (1,) * len(kernel_sizes)
    pads = paddings(pad_type, pad, x.shape[2:], kernel_sizes, strides)
    return _pool(np.maximum, x, kernel_sizes, strides, pads, -np.inf, ceil_mode)


@op("l2_pool")
def l2_pool(
    x: Array, kernel_sizes: Ints, pad_type: str, strides: Ints = (), pad: Ints = (), ceil_mode: bool = False
) -> Array:
    """Square root of the sum of squares over windows."""
    strides = strides or (1,) * len(kernel_sizes)
    pads = paddings(pad_type, pad, x.shape[2:], kernel_sizes, strides)
    return np.sqrt(_pool(np.add, x * x, kernel_sizes, strides, pads, 0.0, ceil_mode))


def sum_pool(x: Array, kernel_sizes: Ints, strides: Ints) -> Array:
    """Sums over windows, without padding; no operation of its own."""
    return _pool(np.add, x, kernel_sizes, strides, [(0, 0)] * len(kernel_sizes), 0.0, False)


def _pool(
    combine: np.ufunc, x: Array, kernel: Ints, strides: Ints, pads: Pads, neutral: float, ceil_mode: bool
) -> Array:
    """Windows combined along one axis after the other; a last window that ceil mode adds is filled with `neutral`."""
    for axis, (size, window, stride, pad) in enumerate(zip(x.shape[2:], kernel, strides, pads, strict=True), start=2):
        count = output_size(size, window, stride, pad, ceil_mode)
        missing = (count - 1) * stride + window - (size + sum(pad))
        none: Pads = [(0, 0)] * (x.ndim - 1 - axis)
        wide = padded(x, [(pad[0], pad[1] + max(0, missing)), *none], neutral)
        front = (slice(None),) * axis
        pixels = [slice(tap, tap + (count - 1) * stride + 1, stride) for tap in range(window)]
        total = wide[(*front, pixels[0])].copy()
        for where in pixels[1:]:
            combine(total, wide[(*front, where)], out=total)
        x = total
    return x

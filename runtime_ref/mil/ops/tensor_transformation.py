"""Reshaping, slicing, transposing: what moves elements and computes none."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..arrays import Array
from ..registry import Arrays, Ints, op


@op("transpose")
def transpose(x: Array, perm: Ints) -> Array:
    """Axis i of the result is axis perm[i] of x."""
    return x.transpose(perm)


@op("expand_dims")
def expand_dims(x: Array, axes: Ints) -> Array:
    """New axes of size 1, at these places of the result."""
    return np.expand_dims(x, axes)


@op("squeeze")
def squeeze(x: Array, axes: Ints | None = None) -> Array:
    """x without these axes, or without all, that have size 1; an axis of another size stays."""
    candidates = range(x.ndim) if axes is None else axes
    return x.squeeze(tuple(axis for axis in candidates if x.shape[axis] == 1))


@op("reshape")
def reshape(x: Array, shape: Ints) -> Array:
    """x in a shape of as many elements; 0 is the size that x has there, -1 what is left."""
    if 0 in shape and len(shape) != x.ndim:
        raise ValueError(f"0 in the shape {list(shape)} needs as many axes as {list(x.shape)} has")
    return _reshape(x, [size or x.shape[axis] for axis, size in enumerate(shape)])


@op("reshape", since=7)
def reshape_aligned(x: Array, shape: Ints) -> Array:
    """As before; shapes of different length are aligned at their last axis, 0 beyond the first axis of x is 1."""
    source = (1,) * (len(shape) - x.ndim) + x.shape
    return _reshape(x, [size or source[axis - len(shape)] for axis, size in enumerate(shape)])


def _reshape(x: Array, shape: list[int]) -> Array:
    # numpy does not guess -1 where another size is 0.
    known = math.prod(size for size in shape if size != -1)
    return x.reshape([(x.size // known if known else 0) if size == -1 else size for size in shape])


@op("reshape_like", since=6)
def reshape_like(x: Array, ref_tensors: Arrays, begins: Arrays, ends: Arrays, end_masks: Arrays) -> Array:
    """x in the shape made of the sizes begin … end of each reference, to its last axis where the mask is set."""
    sizes: list[int] = []
    for reference, begin, end, to_last in zip(ref_tensors, begins, ends, end_masks, strict=True):
        sizes += reference.shape[int(begin) : None if to_last else int(end)]
    return x.reshape(sizes)


@op("reverse")
def reverse(x: Array, axes: Ints | None = None) -> Array:
    """x back to front along these axes, or along all."""
    return np.flip(x, axes)


@op("reverse_sequence")
def reverse_sequence(x: Array, lengths: Ints, seq_axis: int = 0, batch_axis: int = 0) -> Array:
    """For each i along the batch axis, the first lengths[i] elements along the sequence axis back to front."""
    out = x.copy()
    source, target = (np.moveaxis(values, (batch_axis, seq_axis), (0, 1)) for values in (x, out))
    for item, length in enumerate(lengths):
        target[item, :length] = source[item, :length][::-1]
    return out


@op("slice_by_index")
def slice_by_index(
    x: Array,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: Ints | None = None,
    end_mask: Ints | None = None,
    squeeze_mask: Ints | None = None,
) -> Array:
    """x[begin:end:stride] on every axis, as Python slices.

    A set mask replaces begin or end by the end that the stride starts from or goes to; a set squeeze mask takes the
    element at begin, and the axis is gone.
    """
    return x[_slices(x.ndim, begin, end, stride, begin_mask, end_mask, squeeze_mask)]


@op("slice_update", since=8)
def slice_update(
    x: Array,
    update: Array,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: Ints | None = None,
    end_mask: Ints | None = None,
    squeeze_mask: Ints | None = None,
) -> Array:
    """x with the part that `slice_by_index` would give replaced by `update`."""
    out = x.copy()
    out[_slices(x.ndim, begin, end, stride, begin_mask, end_mask, squeeze_mask)] = update
    return out


def _slices(
    rank: int,
    begin: Ints,
    end: Ints,
    stride: Ints | None,
    begin_mask: Ints | None,
    end_mask: Ints | None,
    squeeze_mask: Ints | None,
) -> tuple[int | slice, ...]:
    unset = (0,) * rank
    index: list[int | slice] = []
    for first, last, step, from_edge, to_edge, single in zip(
        begin,
        end,
        stride or (1,) * rank,
        begin_mask or unset,
        end_mask or unset,
        squeeze_mask or unset,
        strict=True,
    ):
        if single:
            index.append(0 if from_edge else first)
        else:
            index.append(slice(None if from_edge else first, None if to_edge else last, step))
    return tuple(index)


@op("slice_by_size")
def slice_by_size(x: Array, begin: Ints, size: Ints) -> Array:
    """`size` elements from `begin` on every axis, all that are left if the size is -1."""
    index = []
    for first, count, available in zip(begin, size, x.shape, strict=True):
        start = first + available if first < 0 else first
        index.append(slice(start, None if count == -1 else start + count))
    return x[tuple(index)]


@op("sliding_windows")
def sliding_windows(x: Array, axis: int, size: int, stride: int = 1) -> Array:
    """All windows of `size` elements along an axis, a stride apart; a new axis after it holds a window's elements."""
    axis %= x.ndim
    windows = np.moveaxis(sliding_window_view(x, size, axis), -1, axis + 1)
    return windows[(slice(None),) * axis + (slice(None, None, stride),)]


@op("depth_to_space")
def depth_to_space(x: Array, block_size: int) -> Array:
    """y[n, c, h·b + i, w·b + j] = x[n, (i·b + j)·C + c, h, w], where C is the number of channels of y."""
    n, channels, height, width = x.shape
    b = block_size
    blocks = x.reshape(n, b, b, channels // b**2, height, width)
    return blocks.transpose(0, 3, 4, 1, 5, 2).reshape(n, channels // b**2, height * b, width * b)


@op("space_to_depth")
def space_to_depth(x: Array, block_size: int) -> Array:
    """y[n, (i·b + j)·C + c, h, w] = x[n, c, h·b + i, w·b + j], where C is the number of channels of x."""
    return _blocks_as_channels(x, block_size, (0, 3, 5, 1, 2, 4))


@op("pixel_shuffle")
def pixel_shuffle(x: Array, upscale_factor: int) -> Array:
    """y[n, c, h·f + i, w·f + j] = x[n, c·f² + i·f + j, h, w]."""
    n, channels, height, width = x.shape
    f = upscale_factor
    blocks = x.reshape(n, channels // f**2, f, f, height, width)
    return blocks.transpose(0, 1, 4, 2, 5, 3).reshape(n, channels // f**2, height * f, width * f)


@op("pixel_unshuffle", since=6)
def pixel_unshuffle(x: Array, downscale_factor: int) -> Array:
    """y[n, c·f² + i·f + j, h, w] = x[n, c, h·f + i, w·f + j]."""
    return _blocks_as_channels(x, downscale_factor, (0, 1, 3, 5, 2, 4))


def _blocks_as_channels(x: Array, side: int, order: Ints) -> Array:
    """The pixels of each block of `side` × `side` as channels; `order` of the axes n, c, h, i, w, j."""
    n, channels, height, width = x.shape
    blocks = x.reshape(n, channels, height // side, side, width // side, side)
    return blocks.transpose(order).reshape(n, channels * side**2, height // side, width // side)


@op("space_to_batch")
def space_to_batch(x: Array, block_shape: Ints, paddings: Array) -> Array:
    """y[(i·bw + j)·n + k, c, h, w] = p[k, c, h·bh + i, w·bw + j], where p is x [n, C, H, W] padded with zeros."""
    n, channels, height, width = x.shape
    (top, bottom), (left, right) = paddings.tolist()
    padded = np.zeros((n, channels, top + height + bottom, left + width + right), x.dtype)
    padded[:, :, top : top + height, left : left + width] = x
    bh, bw = block_shape
    rows, columns = padded.shape[2] // bh, padded.shape[3] // bw
    blocks = padded.reshape(n, channels, rows, bh, columns, bw)
    return blocks.transpose(3, 5, 0, 1, 2, 4).reshape(n * bh * bw, channels, rows, columns)


@op("batch_to_space")
def batch_to_space(x: Array, block_shape: Ints, crops: Array) -> Array:
    """p[k, c, h·bh + i, w·bw + j] = x[(i·bw + j)·n + k, c, h, w], and the result is p without its crops."""
    batch, channels, rows, columns = x.shape
    (top, bottom), (left, right) = crops.tolist()
    bh, bw = block_shape
    n, height, width = batch // (bh * bw), rows * bh, columns * bw
    blocks = x.reshape(bh, bw, n, channels, rows, columns)
    whole = blocks.transpose(2, 3, 4, 0, 5, 1).reshape(n, channels, height, width)
    return whole[:, :, top : height - bottom, left : width - right]

"""Shapes, slices, joining and picking; nothing is computed with the values."""

from __future__ import annotations

import numpy as np

from ...mil.arrays import Array
from ...mil.ops import tensor_operation
from ...mil.registry import Arrays, Context, Ints
from ..registry import op


@op("reshape")
def reshape(input: Array, new_shape: Ints) -> Array:
    """The same values in another shape; one size of −1 follows from the others."""
    return input.reshape(new_shape)


@op("transpose")
def transpose(input: Array, permutation: Ints) -> Array:
    """Axis i of the result is axis permutation[i] of the input."""
    return input.transpose(permutation)


@op("expand_dims")
def expand_dims(input: Array, axes: Ints) -> Array:
    """Axes of size 1 added, at places in the result."""
    return np.expand_dims(input, axes)


@op("shrink_dims")
def shrink_dims(input: Array, axes: Ints) -> Array:
    """Axes of size 1 taken out."""
    return np.squeeze(input, axes)


@op("get_shape")
def get_shape(input: Array) -> Array:
    """The sizes of all axes."""
    return np.array(input.shape, np.uint32)


@op("broadcast_to")
def broadcast_to(input: Array, shape: Ints) -> Array:
    """Repeated to a shape, by numpy's rules."""
    return np.broadcast_to(input, shape)


@op("broadcast_in_dims")
def broadcast_in_dims(input: Array, dim_sizes: Ints, axes: Ints) -> Array:
    """Some axes of size 1 repeated to other sizes."""
    shape = list(input.shape)
    for axis, size in zip(axes, dim_sizes, strict=True):
        shape[axis] = size
    return np.broadcast_to(input, shape)


@op("broadcast_shapes")
def broadcast_shapes(shape_1: Ints, shape_2: Ints) -> Array:
    """The shape that two shapes broadcast to."""
    return np.array(np.broadcast_shapes(shape_1, shape_2), np.uint32)


@op("concat")
def concat(dimension: int, inputs: Arrays) -> Array:
    """Joined along an axis."""
    return np.concatenate(inputs, axis=dimension)


@op("split")
def split(input: Array, split_size_or_sections: Array, dim: int) -> tuple[Array, ...]:
    """Cut along an axis: into pieces of one size, the last what is left, or of given sizes."""
    if split_size_or_sections.ndim:
        borders = np.cumsum(split_size_or_sections)[:-1]
    else:
        borders = np.arange(int(split_size_or_sections), input.shape[dim], int(split_size_or_sections))
    return tuple(np.split(input, borders, axis=dim))


@op("slice")
def slice_(input: Array, start_indices: Ints, end_indices: Ints, strides: Ints) -> Array:
    """Every axis from start to before end in steps; indices below 0 count from the end, and all are cut to the axis."""
    return input[_slices(input, start_indices, end_indices, strides)]


@op("slice_update")
def slice_update(input: Array, start_indices: Ints, end_indices: Ints, strides: Ints, update: Array) -> Array:
    """The input with a slice of it replaced."""
    result = input.copy()
    result[_slices(input, start_indices, end_indices, strides)] = update
    return result


def _slices(x: Array, starts: Ints, ends: Ints, strides: Ints) -> tuple[slice, ...]:
    """numpy's slices of Core AI's: an end before the first value, going down, has no number in numpy."""
    slices = []
    for size, start, end, step in zip(x.shape, starts, ends, strides, strict=True):
        if step > 0:
            slices.append(slice(start, end, step))
        else:
            low = end + size if end < -1 else end
            slices.append(slice(start, None if low < 0 else low, step))
    return tuple(slices)


@op("pad")
def pad(input: Array, padding: Ints, padding_value: float, padding_mode: str) -> Array:
    """Axis i extended by padding[2i] values before and padding[2i + 1] after."""
    pairs = list(zip(padding[::2], padding[1::2], strict=True))
    if padding_mode == "constant":
        return tensor_operation.pad(input, padding, "constant", padding_value)
    modes = {"replicate": "edge", "reflect": "reflect", "symmetric": "symmetric", "circular": "wrap"}
    return np.pad(input, pairs, mode=modes[padding_mode])  # pyright: ignore[reportArgumentType, reportCallIssue]


@op("image_to_tensor")
def image_to_tensor(source: Array) -> Array:
    """A camera buffer's bytes, `[H, W, 4]` uint8 in the order B, G, R, A. source `[1, 3, H, W]`, RGB in 0 … 255."""
    colours = np.rint(np.clip(source[0], 0, 255)).astype(np.uint8)
    opaque = np.full(colours.shape[1:], 255, np.uint8)
    return np.stack([*colours[::-1], opaque], axis=-1)


@op("tile")
def tile(input: Array, dims: Ints) -> Array:
    """Repeated along the last axes."""
    return np.tile(input, dims)


@op("reverse")
def reverse(input: Array, axes: Ints) -> Array:
    """The order along some axes turned round."""
    return np.flip(input, axes)


@op("range")
def range_(context: Context, start: Array, stop: Array, step: Array) -> Array:
    """start, start + step … before stop."""
    values = np.arange(start.item(), stop.item(), step.item())
    return values.astype(context.compute) if start.dtype.kind == "f" else values.astype(start.dtype)


@op("gather_along_axis")
def gather_along_axis(input: Array, indices: Array, axis: int) -> Array:
    """Along one axis the values at the given places."""
    return np.take_along_axis(input, indices.astype(np.intp), axis)


@op("gather_nd")
def gather_nd(input: Array, indices: Array) -> Array:
    """The slices at places that the last axis of the indices holds."""
    places = np.moveaxis(indices.astype(np.intp), -1, 0)
    return input[tuple(places)]


@op("argsort")
def argsort(input: Array, dim: int, descending: bool, stable: bool) -> Array:
    """The places of the values in their order along an axis; equal ones stay in theirs."""
    del stable
    return np.argsort(-input if descending else input, axis=dim, kind="stable")


@op("batch_matmul", "broadcasting_batch_matmul")
def batch_matmul(x: Array, y: Array) -> Array:
    """Products of matrices, the axes before the last two broadcast."""
    return np.matmul(x, y)

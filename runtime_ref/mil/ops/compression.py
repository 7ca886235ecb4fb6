"""Compressed constants: what coremltools' weight compression stores, and how it becomes plain weights again.

iOS 16 stores parameters as attributes and packs indices and masks into bytes; iOS 18 has types below a byte for them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..arrays import Array
from ..elements import Element, unpack
from ..registry import Context, Ints, op


def _float(ctx: Context, values: Array) -> Array:
    return np.asarray(values).astype(ctx.compute)


def along(vector: Array, axis: int | None, rank: int) -> Array:
    """A vector laid along one axis of `rank`; scalars stay, and so does what belongs to no axis."""
    if vector.ndim == 0 or axis is None:
        return vector
    return vector.reshape([-1 if a == axis % rank else 1 for a in range(rank)])


def to_blocks(values: Array, shape: Sequence[int]) -> Array:
    """Values of blocks repeated until they have `shape`."""
    for axis, size in enumerate(shape):
        if values.shape[axis] != size:
            values = np.repeat(values, size // values.shape[axis], axis)
    return values


@op("constexpr_affine_dequantize", since=6)
def constexpr_affine_dequantize(
    ctx: Context, quantized_data: Array, zero_point: Array, scale: Array, axis: int
) -> Array:
    """w = scale · (q − zero_point); scale and zero_point are scalars, or vectors along `axis`."""
    rank = quantized_data.ndim
    shifted = _float(ctx, quantized_data) - along(_float(ctx, zero_point), axis, rank)
    return shifted * along(_float(ctx, scale), axis, rank)


@op("constexpr_cast", since=6)
def constexpr_cast(ctx: Context, source_val: Array, output_dtype: str) -> Array:
    """The same values in another type, which the output declares."""
    return _float(ctx, source_val)


@op("constexpr_lut_to_dense", since=6)
def constexpr_lut_to_dense_ios16(indices: Array, lut: Array, shape: Ints) -> Array:
    """w = lut[index]; indices of log2(len(lut)) bits are packed, the first in the lowest bits."""
    packed = Element[f"UINT{int(math.log2(lut.size))}"]
    return lut[unpack(indices.tobytes(), packed, math.prod(shape))].reshape(shape)


@op("constexpr_lut_to_dense", since=8)
def constexpr_lut_to_dense(indices: Array, lut: Array, vector_axis: int | None = None) -> Array:
    """w = lut[block, index]: one table a block; entries longer than 1 are laid out along `vector_axis`.

    indices `[*S]`, lut `[*blocks, entries, vector]`.
    """
    tables = to_blocks(lut.reshape(*lut.shape[:-2], -1), indices.shape).reshape(*indices.shape, *lut.shape[-2:])
    chosen = np.take_along_axis(tables, indices.astype(np.intp)[..., None, None], axis=-2)[..., 0, :]
    if lut.shape[-1] == 1:
        return chosen[..., 0]
    axis = (vector_axis or 0) % indices.ndim
    shape = [size * (lut.shape[-1] if a == axis else 1) for a, size in enumerate(indices.shape)]
    return np.moveaxis(chosen, -1, axis + 1).reshape(shape)


@op("constexpr_sparse_to_dense", since=6)
def constexpr_sparse_to_dense_ios16(nonzero_data: Array, mask: Array, shape: Ints) -> Array:
    """The values stand where the packed mask has a 1, zeros elsewhere, in row-major order."""
    return constexpr_sparse_to_dense(
        nonzero_data, unpack(mask.tobytes(), Element.UINT1, math.prod(shape)).reshape(shape)
    )


@op("constexpr_sparse_to_dense", since=8)
def constexpr_sparse_to_dense(nonzero_data: Array, mask: Array) -> Array:
    """The values stand where the mask has a 1, zeros elsewhere, in row-major order."""
    dense = np.zeros(mask.shape, nonzero_data.dtype)
    dense[mask != 0] = nonzero_data
    return dense


@op("constexpr_blockwise_shift_scale", since=8)
def constexpr_blockwise_shift_scale(ctx: Context, data: Array, scale: Array, offset: Array | None = None) -> Array:
    """w = scale · (q − offset), with one scale and offset a block; blocks are data.shape / scale.shape large."""
    values = _float(ctx, data)
    if offset is not None:
        values = values - to_blocks(_float(ctx, offset), data.shape)
    return values * to_blocks(_float(ctx, scale), data.shape)


@op("constexpr_lut_to_sparse", since=8)
def constexpr_lut_to_sparse(
    indices_mask: Array, indices_nonzero_data: Array, lut: Array, vector_axis: int | None = None
) -> tuple[Array, Array]:
    """`constexpr_lut_to_dense` of the sparse values alone; gives the mask, widened by vectors, and the values."""
    dense = constexpr_lut_to_dense(constexpr_sparse_to_dense(indices_nonzero_data, indices_mask), lut, vector_axis)
    mask = indices_mask
    if lut.shape[-1] > 1:
        mask = np.repeat(mask, lut.shape[-1], (vector_axis or 0) % mask.ndim)
    return mask, dense[mask != 0]


@op("constexpr_sparse_blockwise_shift_scale", since=8)
def constexpr_sparse_blockwise_shift_scale(
    ctx: Context, data_mask: Array, nonzero_data: Array, scale: Array, offset: Array | None = None
) -> tuple[Array, Array]:
    """`constexpr_blockwise_shift_scale` of the sparse values alone; gives the mask and the values."""
    dense = constexpr_blockwise_shift_scale(ctx, constexpr_sparse_to_dense(nonzero_data, data_mask), scale, offset)
    return data_mask, dense[data_mask != 0]

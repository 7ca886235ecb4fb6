"""Gathering from, and scattering into, indexed places.

Indices beyond the tensor are an error, though Core ML leaves undefined what they do unless `validate_indices` is set.
Negative ones count from the end; since iOS 17 they too are undefined, and an error where indices are validated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array
from ..registry import UnfitValuesError, op


@op("gather")
def gather(x: Array, indices: Array, axis: int = 0) -> Array:
    """y[p…, i…, q…] = x[p…, indices[i…], q…], the index standing on an axis of x."""
    _check_within(indices, x.shape[axis])
    return np.take(x, indices, axis)


@op("gather", since=6)
def gather_batched(x: Array, indices: Array, axis: int = 0, batch_dims: int = 0) -> Array:
    """As before, for each place along the first `batch_dims` axes, which x and the indices share."""
    _check_within(indices, x.shape[axis])
    if batch_dims == 0:
        return np.take(x, indices, axis)
    axis %= x.ndim
    gathered = np.moveaxis(x, axis, batch_dims)[(*_batch_places(indices, batch_dims), indices)]
    own = indices.ndim - batch_dims
    return np.moveaxis(gathered, range(batch_dims, batch_dims + own), range(axis, axis + own))


@op("gather", since=7)
def gather_validated(
    x: Array, indices: Array, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False
) -> Array:
    """As before; negative indices may be refused."""
    _validate(indices, validate_indices)
    return gather_batched(x, indices, axis, batch_dims)


@op("gather_along_axis")
def gather_along_axis(x: Array, indices: Array, axis: int = 0) -> Array:
    """y[p…, i, q…] = x[p…, indices[p…, i, q…], q…], where i stands on the axis."""
    _check_within(indices, x.shape[axis])
    return np.take_along_axis(x, indices.astype(np.intp), axis)


@op("gather_along_axis", since=7)
def gather_along_axis_validated(x: Array, indices: Array, axis: int = 0, validate_indices: bool = False) -> Array:
    """As before; negative indices may be refused."""
    _validate(indices, validate_indices)
    return gather_along_axis(x, indices, axis)


@op("gather_nd")
def gather_nd(x: Array, indices: Array) -> Array:
    """y[i…] = x[indices[i…, 0], indices[i…, 1], …], whole slices where the index is shorter than the shape of x."""
    return gather_nd_batched(x, indices)


@op("gather_nd", since=6)
def gather_nd_batched(x: Array, indices: Array, batch_dims: int = 0) -> Array:
    """As before, for each place along the first `batch_dims` axes, which x and the indices share."""
    _check_within(indices, x.shape[batch_dims : batch_dims + indices.shape[-1]])
    return x[(*_batch_places(indices[..., 0], batch_dims), *np.moveaxis(indices, -1, 0))]


@op("gather_nd", since=7)
def gather_nd_validated(x: Array, indices: Array, batch_dims: int = 0, validate_indices: bool = False) -> Array:
    """As before; negative indices may be refused."""
    _validate(indices, validate_indices)
    return gather_nd_batched(x, indices, batch_dims)


@op("scatter")
def scatter(data: Array, indices: Array, updates: Array, axis: int = 0, mode: str = "add") -> Array:
    """`data` with updates[p…, i, q…] combined into the place [p…, indices[i], q…], one after the other."""
    axis %= data.ndim
    _check_within(indices, data.shape[axis])
    out = data.copy()
    moved = np.moveaxis(updates, range(axis, axis + indices.ndim), range(indices.ndim))
    _combine(np.moveaxis(out, axis, 0), (indices,), moved, mode)
    return out


@op("scatter_along_axis")
def scatter_along_axis(data: Array, indices: Array, updates: Array, axis: int = 0, mode: str = "add") -> Array:
    """`data` with updates[p…, i, q…] combined into the place [p…, indices[p…, i, q…], q…], one after the other."""
    _check_within(indices, data.shape[axis])
    out = data.copy()
    places: list[Array] = list(np.ogrid[tuple(slice(size) for size in indices.shape)])
    places[axis] = indices
    _combine(out, tuple(places), updates, mode)
    return out


def _validated(function: Callable[..., Array]) -> Callable[..., Array]:
    def kernel(
        data: Array, indices: Array, updates: Array, axis: int = 0, mode: str = "add", validate_indices: bool = False
    ) -> Array:
        """As before; negative indices may be refused."""
        _validate(indices, validate_indices)
        return function(data, indices, updates, axis, mode)

    return kernel


op("scatter", since=7)(_validated(scatter))
op("scatter_along_axis", since=7)(_validated(scatter_along_axis))


@op("scatter_nd")
def scatter_nd(data: Array, indices: Array, updates: Array, mode: str = "add") -> Array:
    """`data` with updates[i…] combined into the place [indices[i…, 0], indices[i…, 1], …], one after the other."""
    _check_within(indices, data.shape[: indices.shape[-1]])
    out = data.copy()
    _combine(out, tuple(np.moveaxis(indices, -1, 0)), updates, mode)
    return out


@op("scatter_nd", since=7)
def scatter_nd_validated(
    data: Array, indices: Array, updates: Array, mode: str = "add", validate_indices: bool = False
) -> Array:
    """As before; negative indices may be refused."""
    _validate(indices, validate_indices)
    return scatter_nd(data, indices, updates, mode)


def _batch_places(indices: Array, batch_dims: int) -> list[Array]:
    """For each batch axis its own index, in a shape that goes with the indices."""
    return list(np.ogrid[tuple(slice(size) for size in indices.shape)])[:batch_dims]


def _check_within(indices: Array, sizes: int | tuple[int, ...]) -> None:
    """Every index is in −size … size − 1: of one axis, or of as many axes as the last axis of `indices` is long."""
    beyond = (indices >= np.asarray(sizes)) | (indices < -np.asarray(sizes))
    if beyond.any():
        place = tuple(np.argwhere(beyond)[0])
        size = sizes if isinstance(sizes, int) else sizes[place[-1]]
        raise UnfitValuesError(f"the index {indices[place]} is beyond an axis of {size}")


def _validate(indices: Array, wanted: bool) -> None:
    if wanted and (indices < 0).any():
        raise UnfitValuesError(f"the index {indices.min()} is negative")


_COMBINE: dict[str, Any] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
}


def _combine(out: Array, places: tuple[Array, ...], updates: Array, mode: str) -> None:
    """Combine updates into places of an array, in place; a place that is named twice gets both, in their order."""
    if mode == "update":
        out[places] = updates
    elif mode == "div" and out.dtype.kind != "f":
        # Dividing one after the other, each time towards 0, is dividing by the product.
        divisors = np.ones(out.shape, np.int64)
        np.multiply.at(divisors, places, updates)
        out[...] = np.trunc(out / divisors)
    else:
        _COMBINE[mode].at(out, places, updates)

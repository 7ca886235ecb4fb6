"""Reductions over axes.

Without `axes` everything is reduced to one value; with `keep_dims` the reduced axes stay, with size 1. What a reduction
of integers has after the point is dropped.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import Array
from ..elements import Element
from ..registry import Ints, op, op_table

# What reduces x over axes, and what it computes.
_FUNCTIONS: dict[str, tuple[Callable[..., Array], str]] = {
    "reduce_sum": (np.sum, "Σ x."),
    "reduce_mean": (np.mean, "Σ x / n."),
    "reduce_prod": (np.prod, "Π x."),
    "reduce_max": (np.max, "The greatest x."),
    "reduce_min": (np.min, "The least x."),
    "reduce_l1_norm": (lambda x, **over: np.abs(x).sum(**over), "Σ |x|."),
    "reduce_l2_norm": (lambda x, **over: np.sqrt(np.square(x).sum(**over)), "√(Σ x²)."),
    "reduce_sum_square": (lambda x, **over: np.square(x).sum(**over), "Σ x²."),
    "reduce_log_sum": (lambda x, **over: np.log(x.sum(**over)), "ln Σ x."),
}


def _over_axes(function: Callable[..., Array]) -> Callable[..., Array]:
    def kernel(x: Array, axes: Ints | None = None, keep_dims: bool = False) -> Array:
        return function(x, axis=axes, keepdims=keep_dims)

    return kernel


op_table(_FUNCTIONS, _over_axes)


@op("reduce_log_sum_exp")
def reduce_log_sum_exp(x: Array, axes: Ints | None = None, keep_dims: bool = False) -> Array:
    """ln Σ e^x, without overflow."""
    greatest = x.max(axes, keepdims=True)
    shift = np.where(np.isfinite(greatest), greatest, 0)  # an infinite one would make inf - inf
    y = np.log(np.exp(x - shift).sum(axes, keepdims=True)) + shift
    return y if keep_dims else y.squeeze(axes)


@op("reduce_argmax")
def reduce_argmax(x: Array, axis: int = -1, keep_dims: bool = False) -> Array:
    """The index of the greatest x along an axis; the first of several."""
    return x.argmax(axis, keepdims=keep_dims)


@op("reduce_argmax", since=7)
def reduce_argmax_typed(x: Array, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Array:
    """The index of the greatest x along an axis, in int32 or uint16; the first of several."""
    return reduce_argmax(x, axis, keep_dims).astype(Element.named(output_dtype).storage)


@op("reduce_argmin")
def reduce_argmin(x: Array, axis: int = -1, keep_dims: bool = False) -> Array:
    """The index of the least x along an axis; the first of several."""
    return x.argmin(axis, keepdims=keep_dims)


@op("reduce_argmin", since=7)
def reduce_argmin_typed(x: Array, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Array:
    """The index of the least x along an axis, in int32 or uint16; the first of several."""
    return reduce_argmin(x, axis, keep_dims).astype(Element.named(output_dtype).storage)

"""Reductions along axes, which stay with the size 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...mil.arrays import Array
from ...mil.registry import Ints
from ..registry import op, op_table

_FUNCTIONS: dict[str, tuple[Callable[..., Any], str]] = {
    "all": (np.all, "Whether all values are true."),
    "any": (np.any, "Whether a value is true."),
    "reduce_max": (np.max, "The greatest value."),
    "reduce_mean": (np.mean, "The mean."),
    "reduce_min": (np.min, "The least value."),
    "reduce_product": (np.prod, "The product."),
    "reduce_sum": (np.sum, "The sum."),
}


def _over_axes(function: Callable[..., Any]) -> Callable[..., Array]:
    def kernel(input: Array, axes: Ints) -> Array:
        return function(input, axis=axes, keepdims=True)

    return kernel


op_table(_FUNCTIONS, _over_axes)


@op("argmax")
def argmax(input: Array, axis: int) -> Array:
    """The index of the greatest value along an axis, the first of equal ones."""
    return np.argmax(input, axis=axis, keepdims=True)

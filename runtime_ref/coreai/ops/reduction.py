"""Reductions along axes, which stay with the size 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...mil.arrays import Array
from ...mil.registry import Ints
from ..registry import op

_FUNCTIONS: dict[str, tuple[Callable[..., Any], str]] = {
    "all": (np.all, "Whether all values are true."),
    "any": (np.any, "Whether a value is true."),
    "reduce_max": (np.max, "The greatest value."),
    "reduce_mean": (np.mean, "The mean."),
    "reduce_min": (np.min, "The least value."),
    "reduce_product": (np.prod, "The product."),
    "reduce_sum": (np.sum, "The sum."),
}


def _register(name: str, function: Callable[..., Any], definition: str) -> None:
    def kernel(input: Array, axes: Ints) -> Array:
        return function(input, axis=axes, keepdims=True)

    kernel.__name__, kernel.__doc__ = name, definition
    op(name)(kernel)


for _name, (_function, _definition) in _FUNCTIONS.items():
    _register(_name, _function, _definition)


@op("argmax")
def argmax(input: Array, axis: int) -> Array:
    """The index of the greatest value along an axis, the first of equal ones."""
    return np.argmax(input, axis=axis, keepdims=True)

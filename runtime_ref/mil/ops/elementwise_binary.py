"""Elementwise operations of two tensors, broadcast against each other as in numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import Array
from ..registry import op, op_table

# numpy's function, and what it computes of every pair of values.
_FUNCTIONS = {
    "add": (np.add, "x + y."),
    "equal": (np.equal, "Whether x = y."),
    "floor_div": (np.floor_divide, "x / y rounded towards -∞, also for integers."),
    "greater": (np.greater, "Whether x > y."),
    "greater_equal": (np.greater_equal, "Whether x ≥ y."),
    "less": (np.less, "Whether x < y."),
    "less_equal": (np.less_equal, "Whether x ≤ y."),
    "logical_and": (np.logical_and, "x and y."),
    "logical_or": (np.logical_or, "x or y."),
    "logical_xor": (np.logical_xor, "Either x or y."),
    "maximum": (np.maximum, "The greater of x and y; NaN if one of them is."),
    "minimum": (np.minimum, "The lesser of x and y; NaN if one of them is."),
    "mod": (np.mod, "x - y·⌊x / y⌋: the remainder with the sign of y."),
    "mul": (np.multiply, "x · y."),
    "not_equal": (np.not_equal, "Whether x ≠ y."),
    "real_div": (np.true_divide, "x / y; of integers the quotient without its fraction."),
    "sub": (np.subtract, "x - y."),
}


def _of_two(function: Callable[..., Array]) -> Callable[..., Array]:
    def kernel(x: Array, y: Array) -> Array:
        return function(x, y)

    return kernel


op_table(_FUNCTIONS, _of_two)


@op("pow")
def power(x: Array, y: Array) -> Array:
    """x^y; of integers without the fraction, so that 2^-1 is 0."""
    if x.dtype.kind == "i" and (y < 0).any():  # numpy refuses these
        return np.trunc(np.float_power(x, y))
    return np.power(x, y)

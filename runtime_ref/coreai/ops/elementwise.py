"""Elementwise operations; the broadcasting ones follow numpy's rules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...mil.arrays import Array
from ...mil.ops import activation, elementwise_unary
from ..registry import op, op_table

_UNARY: dict[str, tuple[Callable[[Array], Array], str]] = {
    "abs": (np.abs, "|x|"),
    "acos": (np.arccos, "arccos x."),
    "acosh": (np.arccosh, "arcosh x."),
    "asin": (np.arcsin, "arcsin x."),
    "asinh": (np.arcsinh, "arsinh x."),
    "atan": (np.arctan, "arctan x."),
    "atanh": (np.arctanh, "artanh x."),
    "cos": (np.cos, "cos x."),
    "cosh": (np.cosh, "cosh x."),
    "exp": (np.exp, "e^x."),
    "log": (np.log, "ln x."),
    "not": (np.logical_not, "Not x."),
    "round": (np.rint, "The integer nearest to x; of two, the even one."),
    "sin": (np.sin, "sin x."),
    "sinh": (np.sinh, "sinh x."),
    "sqrt": (np.sqrt, "√x; NaN below 0."),
    "tan": (np.tan, "tan x."),
    "tanh": (np.tanh, "tanh x."),
    "relu": (activation.relu, "max(x, 0)."),
    "sigmoid": (activation.sigmoid, "1 / (1 + e^-x)."),
    "silu": (activation.silu, "x / (1 + e^-x)."),
    "erf": (elementwise_unary.erf, "2/√π ∫ e^(-t²) dt from 0 to x."),
    "rsqrt": (lambda x: 1 / np.sqrt(x), "1 / √x."),
    "identity": (lambda x: x, "x itself: an output that is an input, or another output too."),
}


def _quotient(x: Array, y: Array) -> Array:
    """x / y; of integers the part before the point."""
    return x / y if x.dtype.kind == "f" else np.trunc(x / y)


_GELU = {"tanh": "TANH_APPROXIMATION", "sigmoid": "SIGMOID_APPROXIMATION"}

_BINARY: dict[str, tuple[Callable[[Array, Array], Array], str]] = {
    "add": (np.add, "x + y."),
    "and": (np.logical_and, "x and y."),
    "bitwise_and": (np.bitwise_and, "The bits that x and y have."),
    "bitwise_or": (np.bitwise_or, "The bits that x or y has."),
    "bitwise_xor": (np.bitwise_xor, "The bits that one of x and y has."),
    "divide": (_quotient, "x / y; of integers the part before the point."),
    "equal": (np.equal, "x = y."),
    "floor_divide": (np.floor_divide, "The greatest integer that is not above x / y."),
    "greater": (np.greater, "x > y."),
    "maximum": (np.maximum, "The greater of x and y; NaN where one is."),
    "minimum": (np.minimum, "The lesser of x and y; NaN where one is."),
    "modulo": (np.fmod, "x − trunc(x / y) · y, with the sign of x."),
    "mul": (np.multiply, "x · y."),
    "not_equal": (np.not_equal, "x ≠ y."),
    "or": (np.logical_or, "x or y."),
    "pow": (np.power, "x^y."),
    "sub": (np.subtract, "x − y."),
    "xor": (np.logical_xor, "One of x and y, not both."),
}


def _of_one(function: Callable[[Array], Array]) -> Callable[..., Array]:
    def kernel(input: Array) -> Array:
        return function(input)

    return kernel


def _of_two(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    def kernel(x: Array, y: Array) -> Array:
        return function(x, y)

    return kernel


op_table(_UNARY, _of_one)
op_table(_BINARY, _of_two, ("", "broadcasting_"))


@op("cast")
def cast(input: Array) -> Array:
    """x in the type that the result declares: floats lose their fraction in an integer, what is not 0 is true."""
    return input


@op("where", "broadcasting_where")
def where(condition: Array, a: Array, b: Array) -> Array:
    """a where the condition is true, b elsewhere."""
    return np.where(condition, a, b)


@op("gelu")
def gelu(input: Array, approximate: str = "none") -> Array:
    """x · Φ(x), or its approximation with tanh or the sigmoid."""
    return activation.gelu(input, _GELU.get(approximate, "EXACT"))


@op("softmax")
def softmax(input: Array, axis: int) -> Array:
    """e^(x − max) over its sum along an axis."""
    return activation.softmax(input, axis)

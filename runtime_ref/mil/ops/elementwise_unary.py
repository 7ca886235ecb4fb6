"""Elementwise operations of one tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..arrays import Array
from ..elements import Element, Kind
from ..registry import op, op_table

# Values that a formula of many passes works on at a time, so that its intermediates stay in a core's cache (erf of
# 2.1 M values: 20 ms so, 33 ms in one piece).
_CHUNK = 1 << 15

# numpy's function, and what it computes of every value x.
_FUNCTIONS = {
    "abs": (np.abs, "|x|"),
    "acos": (np.arccos, "arccos x, in [0, π]; NaN outside of [-1, 1]."),
    "asin": (np.arcsin, "arcsin x, in [-π/2, π/2]; NaN outside of [-1, 1]."),
    "atan": (np.arctan, "arctan x, in [-π/2, π/2]."),
    "atanh": (np.arctanh, "artanh x; infinite at ±1, NaN beyond."),
    "ceil": (np.ceil, "The least integer that is not below x."),
    "cos": (np.cos, "cos x, x in radians."),
    "cosh": (np.cosh, "cosh x."),
    "exp": (np.exp, "e^x."),
    "exp2": (np.exp2, "2^x; of integers the integer part."),
    "floor": (np.floor, "The greatest integer that is not above x."),
    "logical_not": (np.logical_not, "Not x."),
    "round": (np.rint, "The integer nearest to x; of two, the even one."),
    "sign": (np.sign, "-1, 0 or 1 as x is below, at or above 0."),
    "sin": (np.sin, "sin x, x in radians."),
    "sinh": (np.sinh, "sinh x."),
    "sqrt": (np.sqrt, "√x; NaN below 0."),
    "square": (np.square, "x²."),
    "tan": (np.tan, "tan x, x in radians."),
    "tanh": (np.tanh, "tanh x, in [-1, 1]."),
}


def _of_one(function: Callable[..., Array]) -> Callable[..., Array]:
    def kernel(x: Array) -> Array:
        return function(x)

    return kernel


op_table(_FUNCTIONS, _of_one)


@op("cast")
def cast(x: Array, dtype: str) -> Array:
    """x in another type: floats lose their fraction in an integer type; what is not 0 is true.

    A value that an integer type does not hold is left to the processor.
    """
    element = Element.named(dtype)
    return x if element.kind is Kind.FLOAT else x.astype(element.storage)


@op("clip")
def clip(x: Array, alpha: float, beta: float) -> Array:
    """min(max(x, alpha), beta)."""
    return np.clip(x, alpha, beta)


@op("erf")
def erf(x: Array) -> Array:
    """2/√π ∫ e^(-t²) dt from 0 to x."""
    return chunkwise(erf_of_chunk, x)


@op("inverse")
def inverse(x: Array, epsilon: float = 1e-4) -> Array:
    """1 / (x + epsilon)."""
    return 1 / (x + epsilon)


@op("log")
def log(x: Array, epsilon: float = 1e-45) -> Array:
    """ln(x + epsilon); the default epsilon is below all numbers of half precision, and the least of single."""
    return np.log(x + epsilon)


@op("rsqrt")
def rsqrt(x: Array, epsilon: float = 1e-12) -> Array:
    """1 / √(x + epsilon)."""
    return 1 / np.sqrt(x + epsilon)


@op("threshold")
def threshold(x: Array, alpha: Array) -> Array:
    """max(x, alpha)."""
    return np.maximum(x, alpha)


def chunkwise(function: Callable[[Array], Array], x: Array) -> Array:
    """An elementwise function of many passes, computed a cache's worth of values at a time.

    Args:
        function: takes and gives `[n]`; must not change what it gets.
        x: any shape.
    """
    source = np.ascontiguousarray(x).reshape(-1)
    result = np.empty_like(source)
    for start in range(0, source.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        result[part] = function(source[part])
    return result.reshape(x.shape)


# W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969) 631-637: numerators and
# denominators, highest power first, with the digits of his own program CALERF (SPECFUN, netlib).
_NEAR = (  # erf(x) = x · R(x²) up to 0.46875
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
# R - 1 is small, so that in x + x · (R - 1) its roundings are, too.
_NEAR_LESS_ONE = (tuple(p - q for p, q in zip(*_NEAR, strict=True)), _NEAR[1])
_MIDDLE = (  # erfc(x) = e^(-x²) · R(x) up to 4
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594e0,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)
_FAR = (  # erfc(x) = e^(-x²) / x · (1/√π - R(1/x²) / x²) beyond
    (
        1.63153871373020978e-2,
        3.05326634961232344e-1,
        3.60344899949804439e-1,
        1.25781726111229246e-1,
        1.60837851487422766e-2,
        6.58749161529837803e-4,
    ),
    (
        1.0,
        2.56852019228982242e0,
        1.87295284992346725e0,
        5.27905102951428412e-1,
        6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)
# How far the first formula goes: in single precision it is exact to 2e-10 at 1 and rounds less than the second.
_NEAR_UP_TO = {np.dtype(np.float32): 1.0, np.dtype(np.float64): 0.46875}
_ONE_FROM = {np.dtype(np.float32): 4.0, np.dtype(np.float64): 6.0}  # erf(x) rounds to 1 from here on


def erf_of_chunk(x: Array) -> Array:
    """erf of `[n]` values, to a rounding or two of their type."""
    size = np.minimum(np.abs(x), _ONE_FROM[x.dtype])
    square = size * size
    complement = np.exp(-square)
    if x.dtype == np.float32:  # in single precision erf is 1 where the third formula would begin
        complement *= _rational(_MIDDLE, size)
    else:
        far = np.maximum(size, 4)
        inverse_square = 1 / (far * far)
        tail = (np.pi**-0.5 - inverse_square * _rational(_FAR, inverse_square)) / far
        complement *= np.where(size <= 4, _rational(_MIDDLE, size), tail)
    near = x + x * _rational(_NEAR_LESS_ONE, square)
    return np.where(size <= _NEAR_UP_TO[x.dtype], near, np.copysign(1 - complement, x))


def _rational(coefficients: tuple[Sequence[float], Sequence[float]], x: Array) -> Array:
    numerator, denominator = (_polynomial(part, x) for part in coefficients)
    numerator /= denominator
    return numerator


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Horner's rule, highest power first."""
    result = x * coefficients[0]
    for coefficient in coefficients[1:-1]:
        result += coefficient
        result *= x
    result += coefficients[-1]
    return result

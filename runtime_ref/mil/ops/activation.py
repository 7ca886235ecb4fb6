"""Activations."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Array
from ..registry import op
from .elementwise_unary import chunkwise, erf_of_chunk

# Values whose softmax is computed at a time: attention between all pairs of tokens does not fit a core's cache.
_CHUNK = 1 << 16


@op("relu")
def relu(x: Array) -> Array:
    """y = max(x, 0)."""
    return np.maximum(x, 0)


@op("relu6")
def relu6(x: Array) -> Array:
    """y = min(max(x, 0), 6)."""
    return np.clip(x, 0, 6)


@op("leaky_relu")
def leaky_relu(x: Array, alpha: float) -> Array:
    """y = x where x ≥ 0, alpha·x elsewhere."""
    return _sloped(x, alpha)


@op("prelu")
def prelu(x: Array, alpha: Array) -> Array:
    """y = x where x > 0, alpha·x elsewhere; alpha `[C]` belongs to the second axis."""
    return _sloped(x, _of_channels(alpha, x))


@op("clamped_relu")
def clamped_relu(x: Array, alpha: float, beta: float) -> Array:
    """y = min(x, beta) where x ≥ 0, min(alpha·x, beta) elsewhere."""
    return np.minimum(leaky_relu(x, alpha), beta)


@op("thresholded_relu")
def thresholded_relu(x: Array, alpha: float) -> Array:
    """y = x where x ≥ alpha, 0 elsewhere."""
    return np.where(x >= alpha, x, 0)


@op("elu")
def elu(x: Array, alpha: float) -> Array:
    """y = x where x > 0, alpha·(e^x - 1) elsewhere."""
    y = np.asarray(np.minimum(x, 0))
    np.expm1(y, out=y)
    y *= alpha
    y += np.maximum(x, 0)
    return y


@op("linear_activation")
def linear_activation(x: Array, alpha: float, beta: float) -> Array:
    """y = alpha·x + beta."""
    return alpha * x + beta


@op("sigmoid")
def sigmoid(x: Array) -> Array:
    """y = 1 / (1 + e^-x)."""
    return 1 / (1 + np.exp(-x))


@op("sigmoid_hard")
def sigmoid_hard(x: Array, alpha: float, beta: float) -> Array:
    """y = min(max(alpha·x + beta, 0), 1)."""
    y = np.asarray(alpha * x + beta)
    return np.clip(y, 0, 1, out=y)


@op("silu")
def silu(x: Array) -> Array:
    """y = x / (1 + e^-x), which is x·sigmoid(x)."""
    return x / (1 + np.exp(-x))


@op("scaled_tanh")
def scaled_tanh(x: Array, alpha: float, beta: float) -> Array:
    """y = alpha·tanh(beta·x)."""
    return alpha * np.tanh(beta * x)


@op("softplus")
def softplus(x: Array) -> Array:
    """y = ln(1 + e^x), without overflow."""
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


@op("softplus_parametric")
def softplus_parametric(x: Array, alpha: Array, beta: Array) -> Array:
    """y = alpha·ln(1 + e^(beta·x)); alpha and beta `[C]` belong to the second axis."""
    return _of_channels(alpha, x) * softplus(_of_channels(beta, x) * x)


@op("softsign")
def softsign(x: Array) -> Array:
    """y = x / (1 + |x|)."""
    return x / (1 + np.abs(x))


@op("gelu")
def gelu(x: Array, mode: str = "EXACT") -> Array:
    """y = x·Φ(x), Φ the normal distribution (Hendrycks and Gimpel 2016).

    EXACT: Φ(x) = (1 + erf(x/√2)) / 2. TANH_APPROXIMATION: (1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2.
    SIGMOID_APPROXIMATION: 1 / (1 + e^(-1.702·x)).
    """
    return chunkwise(_GELU[mode], x)


@op("softmax")
def softmax(x: Array, axis: int = -1) -> Array:
    """y = e^x / Σ e^x, summed over one axis; without overflow, for e^(x - max x) stands for e^x."""
    if axis % max(1, x.ndim) != x.ndim - 1 or not x.size:
        return softmax_in_place(x - x.max(axis, keepdims=True), axis)
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    result = np.empty_like(rows)
    step = max(1, _CHUNK // rows.shape[1])
    for start in range(0, len(rows), step):
        part, out = rows[start : start + step], result[start : start + step]
        softmax_in_place(np.subtract(part, part.max(-1, keepdims=True), out=out))
    return result.reshape(x.shape)


def softmax_in_place(shifted: Array, axis: int = -1) -> Array:
    """Softmax of an array that may be overwritten, whose values are not above 0."""
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis, keepdims=True)
    return shifted


def _sloped(x: Array, slope: Array | float) -> Array:
    """x where it is positive, slope·x elsewhere; the sum of both parts, a third of the time of a choice."""
    y = np.asarray(np.minimum(x, 0))
    y *= slope
    y += np.maximum(x, 0)
    return y


def _of_channels(values: Array, x: Array) -> Array:
    """`[C]` as it is broadcast against x `[N, C, …]`."""
    return values.reshape(-1, *(1,) * (x.ndim - 2))


def _gelu_exact(x: Array) -> Array:
    y = erf_of_chunk(x * math.sqrt(0.5))
    y += 1
    y *= 0.5  # before x, whose double may be infinite
    y *= x
    return y


def _gelu_tanh(x: Array) -> Array:
    y = x * x
    y *= 0.044715
    y += 1
    y *= x
    y *= math.sqrt(2 / math.pi)
    np.tanh(y, out=y)
    y += 1
    y *= 0.5  # before x, whose double may be infinite
    y *= x
    return y


def _gelu_sigmoid(x: Array) -> Array:
    return x / (1 + np.exp(-1.702 * x))


_GELU = {
    "EXACT": _gelu_exact,
    "TANH_APPROXIMATION": _gelu_tanh,
    "SIGMOID_APPROXIMATION": _gelu_sigmoid,
}

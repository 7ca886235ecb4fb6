"""Convolutions of one to three spatial axes, as matrix products over windows (im2col), and their transposes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import numpy as np

from ..arrays import Array
from ..registry import Ints, op
from ._windows import output_size, padded, paddings, spread

# Values of the unfolded windows held at a time: half a million floats stay near a core, which takes a tenth to a third
# of the time off against all at once and against 1 M (a 3x3 of 16 channels at 384 pixels 21, 26 and 35 ms; of 64 to 32
# channels at 296 pixels 68, 81 and 103), and bounds the memory of wide layers.
_UNFOLDED = 1 << 19


@op("conv")
def conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    strides: Ints = (),
    pad_type: str = "valid",
    pad: Ints = (),
    dilations: Ints = (),
    groups: int = 1,
) -> Array:
    """Cross-correlation: y[n, o, p] = b[o] + Σ w[o, c, k] · x[n, c, p · stride + k · dilation − pad], by groups.

    x `[N, C, *S]`, weight `[O, C / groups, *K]`, y `[N, O, *P]`.
    """
    rank = x.ndim - 2
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    windows = [spread(k, d) for k, d in zip(weight.shape[2:], dilations, strict=True)]
    pads = paddings(pad_type, pad, x.shape[2:], windows, strides)
    source = padded(x, pads)
    sizes = tuple(
        output_size(size, window, stride, (0, 0))
        for size, window, stride in zip(source.shape[2:], windows, strides, strict=True)
    )
    result = np.empty((x.shape[0], weight.shape[0], *sizes), x.dtype)
    for sample, out in zip(source, result, strict=True):
        if groups == weight.shape[0] == x.shape[1] and groups > 1:
            _depthwise(sample, weight[:, 0], out, strides, dilations)
        else:
            _correlate(sample, weight, out, strides, dilations, groups)
    if bias is not None:
        result += bias.reshape(-1, *(1,) * rank)
    return result


def _correlate(x: Array, weight: Array, out: Array, strides: Ints, dilations: Ints, groups: int) -> None:
    """One sample: windows of a band of rows become columns, and a matrix product does the rest."""
    kernel = weight.shape[2:]
    matrix = weight.reshape(groups, weight.shape[0] // groups, -1)
    grouped = x.reshape(groups, -1, *x.shape[1:])
    target = out.reshape(groups, -1, *out.shape[1:])
    taps = math.prod(kernel)
    per_row = grouped.shape[1] * groups * taps * math.prod(out.shape[2:])
    band = max(1, _UNFOLDED // max(1, per_row))
    if taps == 1 and set(strides) == {1}:  # a pointwise layer is its own column matrix
        np.matmul(matrix, grouped.reshape(groups, matrix.shape[2], -1), out=target.reshape(groups, matrix.shape[1], -1))
        return
    for start in range(0, out.shape[1], band):
        rows = min(band, out.shape[1] - start)
        columns = np.empty((groups, grouped.shape[1], taps, rows, *out.shape[2:]), x.dtype)
        for tap, where in enumerate(_taps(kernel, strides, dilations, (rows, *out.shape[2:]), start)):
            columns[:, :, tap] = grouped[(slice(None), slice(None), *where)]
        values = matrix @ columns.reshape(groups, matrix.shape[2], -1)
        target[:, :, start : start + rows] = values.reshape(groups, -1, rows, *out.shape[2:])


def _depthwise(x: Array, weight: Array, out: Array, strides: Ints, dilations: Ints) -> None:
    """One kernel a channel: multiplied and added tap by tap, a few channels at a time to stay in the cache."""
    step = max(1, (_UNFOLDED >> 3) // max(1, math.prod(out.shape[1:])))
    for first in range(0, len(x), step):
        part = slice(first, first + step)
        total = out[part]
        total[...] = 0
        places = _taps(weight.shape[1:], strides, dilations, out.shape[1:])
        for tap, where in zip(np.ndindex(*weight.shape[1:]), places, strict=True):
            factor = weight[(part, *tap)].reshape(-1, *(1,) * (x.ndim - 1))
            total += factor * x[(part, *where)]


def _taps(
    kernel: tuple[int, ...], strides: Ints, dilations: Ints, sizes: tuple[int, ...], start: int = 0
) -> Iterator[tuple[slice, ...]]:
    """For every position in the kernel, the pixels that it meets; `start` is the first output row."""
    for position in product(*map(range, kernel)):
        first = [offset * dilation for offset, dilation in zip(position, dilations, strict=True)]
        first[0] += start * strides[0]
        yield tuple(
            slice(begin, begin + (size - 1) * stride + 1, stride)
            for begin, size, stride in zip(first, sizes, strides, strict=True)
        )


@op("conv_transpose")
def conv_transpose(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    pad: Ints = (),
    output_shape: Ints = (),
    pad_type: str = "valid",
    strides: Ints = (),
    dilations: Ints = (),
    groups: int = 1,
) -> Array:
    """The gradient of `conv`: y[n, o, p · stride + k · dilation − pad] += w[c, o, k] · x[n, c, p].

    x `[N, C, *S]`, weight `[C, O / groups, *K]`. "same" makes y stride times as long as x; `output_shape` fixes it.
    """
    rank = x.ndim - 2
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    kernel = weight.shape[2:]
    per_group = weight.shape[1]
    matrix = weight.reshape(groups, -1, per_group * math.prod(kernel)).transpose(0, 2, 1)
    full = [
        (size - 1) * stride + spread(k, dilation)
        for size, stride, k, dilation in zip(x.shape[2:], strides, kernel, dilations, strict=True)
    ]
    spans = _transposed_spans(full, x.shape[2:], strides, pad_type, pad, output_shape)
    result = np.zeros((x.shape[0], groups * per_group, *full), x.dtype)
    for sample, out in zip(x, result, strict=True):
        columns = (matrix @ sample.reshape(groups, matrix.shape[2], -1)).reshape(-1, math.prod(kernel), *x.shape[2:])
        for tap, where in enumerate(_taps(kernel, dilations=dilations, strides=strides, sizes=x.shape[2:])):
            out[(slice(None), *where)] += columns[:, tap]
    result = padded(result, [(-begin, end - size) for (begin, end), size in zip(spans, full, strict=True)])
    return result if bias is None else result + bias.reshape(-1, *(1,) * rank)


def _transposed_spans(
    full: list[int], sizes: tuple[int, ...], strides: Ints, pad_type: str, pad: Ints, output_shape: Ints
) -> list[tuple[int, int]]:
    """Begin and end, along every axis, of what is kept of the full transposed convolution (the end may lie beyond)."""
    spans = []
    for axis, (whole, size, stride) in enumerate(zip(full, sizes, strides, strict=True)):
        before, after = (pad[2 * axis], pad[2 * axis + 1]) if pad_type == "custom" and pad else (0, 0)
        length = size * stride if pad_type.startswith("same") else whole - before - after
        if output_shape:
            length = output_shape[2 + axis]
        if pad_type.startswith("same"):
            surplus = max(0, whole - length)
            before = surplus // 2 if pad_type == "same" else surplus - surplus // 2
        spans.append((before, before + length))
    return spans


@op("conv_quantized")
def conv_quantized(
    x: Array,
    weight: Array,
    quantization_type: str,
    quant_scale: Array,
    quant_bias: Array,
    bias: Array | None = None,
    nbits: int = 8,
    strides: Ints = (),
    pad_type: str = "valid",
    pad: Ints = (),
    dilations: Ints = (),
    groups: int = 1,
) -> Array:
    """`conv` with linearly quantised weights: w = weight · quant_scale + quant_bias, both per output channel."""
    if quantization_type != "linear":
        raise ValueError(f"quantization_type {quantization_type!r} is not known; linear is")
    column = (-1, *(1,) * (weight.ndim - 1))
    unpacked = weight.astype(x.dtype) * quant_scale.reshape(column) + quant_bias.reshape(column)
    return conv(x, unpacked, bias, strides, pad_type, pad, dilations, groups)

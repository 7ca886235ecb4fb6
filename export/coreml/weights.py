"""Proof that a package stores the network's weights: every stored number is recomputed from PyTorch and compared.

A single wrong bit of a weight changes no output by more than rounding does, so no comparison of outputs can show it.

    fp32       the folded weights, bit for bit
    fp16       the same rounded to nearest; what would round to 0 becomes ±2^-24 in small tensors, see `to_half`
    int8 int4  s = 2·max|w| / (2^bits − 2) over a channel or block, q = round(w / s), both in the weights' own precision
    palette    the palette that `palettise` finds for the layer, and the index of its nearest entry for every weight
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.bundle import LayerEntry
from ..folded import FoldedLayer
from ..parameters import StoredConstant
from ..stored import Judged, StoredWeights, compare_in_order
from .palette import palettise
from .stored import PALETTE, CoreMLConvolution, StoredProgram, StoredTensor, rounding_step

Array = NDArray[Any]


def judge(layer: FoldedLayer, found: CoreMLConvolution) -> Judged:
    """Hold a convolution of a program against the network's: every stored number is the one that must stand there."""
    problems, differences = [], [0.0]
    for part, wanted, tensor in (("weight", layer.weight, found.weight), ("bias", layer.bias, found.bias)):
        if tensor is None:
            problems += ["the bias is missing"] if wanted.any() else []
        elif tensor.shape != wanted.shape:
            problems.append(f"{part} {tensor.name!r} has the shape {list(tensor.shape)}, not {list(wanted.shape)}")
        else:
            problems += (f"{part} {tensor.name!r}: {problem}" for problem in _problems(wanted, tensor))
            differences.append(float(np.abs(tensor.values() - wanted).max()))
    return Judged(max(differences), tuple(problems))


def compare_weights(expected: Sequence[FoldedLayer], stored: Sequence[CoreMLConvolution]) -> tuple[LayerEntry, ...]:
    """Compare a program's convolutions with the network's; see `compare_in_order`."""
    return compare_in_order(expected, stored, judge)


def stored_weights(function: str | None = None) -> StoredWeights[CoreMLConvolution]:
    """How the weights of a package's function are read and judged."""
    return StoredWeights(
        lambda package: StoredProgram(package, function).convolutions(),
        lambda package: StoredProgram(package, function).constants(),
        judge,
        lambda package: dense_layers(StoredProgram(package, function).dense()),
    )


def dense_layers(layers: Iterable[CoreMLConvolution]) -> dict[str, StoredConstant]:
    """Fully connected layers by the names of their calls, with their weights."""
    return {
        layer.name: StoredConstant(layer.weight.name, layer.weight.values(), layer.label, rounding_step(layer.weight))
        for layer in layers
    }


def _problems(wanted: Array, tensor: StoredTensor) -> Iterator[str]:
    """Stored numbers that are not what the weights make them."""
    if tensor.kind == "const":
        stored = tensor.parts["val"]
        rounded = to_half(wanted) if stored.dtype == np.float16 else wanted.astype(stored.dtype)
        yield from _difference("values", rounded, stored)
    elif tensor.kind == PALETTE:
        palette, indices = palettise(wanted.astype(tensor.palette.dtype), tensor.bits)
        yield from _difference("palette entries", palette, tensor.palette)
        yield from _difference("indices", indices.reshape(tensor.shape), tensor.indices)
    else:
        scale, integers = linear_levels(wanted.astype(tensor.scale.dtype), tensor.block_counts(), tensor.bits)
        yield from _difference("scales", scale, tensor.spread_scale())
        yield from _difference("integers", integers, tensor.quantised)


# coremltools guards the epsilons of divisions so; it takes every tensor below this size for one.
_GUARDED_SIZE = 400


def to_half(weight: Array) -> Array:
    """fp16 as coremltools rounds it: in a small tensor no value but 0 becomes 0, it becomes the least subnormal."""
    half = weight.astype(np.float16)
    if weight.size < _GUARDED_SIZE:
        lost = (half == 0) & (weight != 0)
        half[lost] = np.copysign(np.float16(2.0**-24), weight[lost])
    return half


def linear_levels(weight: Array, counts: tuple[int, ...], bits: int) -> tuple[Array, Array]:
    """Scales and integers of symmetric linear quantisation, both in the weight's shape.

    Args:
        weight: in the precision that it was quantised in.
        counts: how many channels or blocks with a scale of their own each axis has.
        bits: of an integer.
    """
    levels = 2**bits - 2
    sizes = [n for size, count in zip(weight.shape, counts, strict=True) for n in (count, size // count)]
    blocks = weight.reshape(sizes)
    largest = np.abs(blocks).max(axis=tuple(range(1, blocks.ndim, 2)))
    scale = (2 * largest) / levels
    for axis, (size, count) in enumerate(zip(weight.shape, counts, strict=True)):
        scale = np.repeat(scale, size // count, axis=axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        integers = np.where(scale > 0, np.round(weight / scale), 0)  # a channel of zeros has the scale 0
    return scale, np.clip(integers, -(levels // 2), levels // 2).astype(np.int8)


def _difference(what: str, wanted: Array, found: Array) -> Iterator[str]:
    """How many numbers differ, and where the first of them stands."""
    wrong = np.flatnonzero(wanted.reshape(-1) != found.reshape(-1))
    if wrong.size:
        first = int(wrong[0])
        yield (
            f"{wrong.size} of {found.size} {what} differ, first number {first}: "
            f"{found.reshape(-1)[first]} instead of {wanted.reshape(-1)[first]}"
        )

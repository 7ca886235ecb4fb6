"""Proof that a file stores the network's weights: every stored number is held against the PyTorch weight it stands for.

A wrong weight may change no output by more than rounding does, so no comparison of outputs can show it. What a file
stores is read by its target's own package; here it is judged, the same for all targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime_ref.bundle import LayerEntry
from .folded import FoldedLayer

Array = NDArray[Any]

# Converters fold BatchNorm in float32 in an order of their own; relative to a layer's largest value. ONNX files had
# bit for bit the values of `folded_layers`; four roundings are granted.
FOLDING = 2.0**-22


@dataclass(frozen=True, eq=False)
class StoredConvolution:
    """A convolution of a file as the file computes it, whatever its layout and number type.

    Attributes:
        name: of the layer: its path in the PyTorch network where the file tells it, else the file's own name.
        weight: `[O, I / groups, kh, kw]` float64, dequantised.
        bias: `[O]` float64, dequantised; None where it has none.
        stored: how the weight is stored: "fp32", "fp16", "int8" or "int4".
        step: the greatest rounding that this storage may cause to a weight, `[O]` or one for each weight; 0 for fp32.
        bias_step: the same of the bias, which may be stored in another way.
    """

    name: str
    weight: Array
    bias: Array | None
    stored: str
    step: Array | float
    bias_step: Array | float = 0.0


def half_step(values: Array) -> Array:
    """How far a number that float16 rounded to each of these values was from it at most, in the values' shape."""
    normal = np.maximum(np.abs(values).astype(np.float64), 2.0**-14)  # below are subnormals, equally spaced
    return 2.0 ** (np.frexp(normal)[1] - 12.0)  # 11 bits from the leading one on, and half of the last


def compare_weights(expected: Sequence[FoldedLayer], stored: Sequence[StoredConvolution]) -> tuple[LayerEntry, ...]:
    """Compare a file's convolutions with the network's, one entry a layer (one that is called several times has one).

    Args:
        expected: the network's, in the order of their calls; see `folded_layers`.
        stored: the file's, in the order in which it computes them. A converter that changed the order, left one out
            or added one is a problem.

    Returns:
        Entries named as the network's layers; `problem` says what is not within the storage's rounding.
    """
    entries: dict[str, LayerEntry] = {}
    for number, layer in enumerate(expected):
        entry = _compare(layer, stored[number] if number < len(stored) else None)
        if layer.name not in entries or (entry.problem and not entries[layer.name].problem):
            entries[layer.name] = entry
    for extra in stored[len(expected) :]:
        problem = f"the file computes {extra.name}, the network has no such convolution"
        entries[f"{extra.name} (extra)"] = LayerEntry(
            name=extra.name, parameters=0, stored=extra.stored, difference=0.0, problem=problem
        )
    return tuple(entries.values())


def _compare(layer: FoldedLayer, found: StoredConvolution | None) -> LayerEntry:
    parameters = layer.weight.size + layer.bias.size
    if found is None:
        problem = "the file lacks this convolution"
        return LayerEntry(name=layer.name, parameters=parameters, stored="", difference=0.0, problem=problem)
    problems, differences = [], [0.0]
    bias = np.zeros(len(found.weight)) if found.bias is None else found.bias
    for part, wanted, values, step in (
        ("weights", layer.weight, found.weight, found.step),
        ("biases", layer.bias, bias, found.bias_step),
    ):
        if values.shape != wanted.shape:
            problems.append(f"{part} of {found.name} have the shape {list(values.shape)}, not {list(wanted.shape)}")
        else:
            differences.append(float(np.abs(values - wanted).max()))
            problems += _difference(part, wanted, values, step)
    return LayerEntry(
        name=layer.name,
        parameters=parameters,
        stored=found.stored,
        difference=max(differences),
        problem="; ".join(problems),
    )


def _difference(part: str, wanted: Array, found: Array, step: Array | float) -> list[str]:
    """How many numbers differ by more than the step, and where the first of them stands."""
    granted = _beside(step, wanted.ndim) + FOLDING * np.abs(wanted).max()
    # Not `>`: NaN is wrong too.
    wrong = np.flatnonzero(~(np.abs(found.astype(np.float64) - wanted) <= granted))
    if not wrong.size:
        return []
    first = np.unravel_index(int(wrong[0]), wanted.shape)
    place = [int(index) for index in first]
    return [
        f"{wrong.size} of {wanted.size} {part} differ, first {place}: {found[first]:.7g} instead of {wanted[first]:.7g}"
    ]


def _beside(step: Array | float, rank: int) -> Array:
    """A step of each channel, shaped to go with values whose first axis is the channel."""
    step = np.asarray(step, np.float64)
    return step.reshape(-1, *[1] * (rank - 1)) if step.ndim == 1 else step

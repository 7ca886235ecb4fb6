"""Proof that a file stores the network's weights: every stored number is held against the PyTorch weight it stands for.

A wrong weight may change no output by more than rounding does, so no comparison of outputs can show it. What a file
stores is read by its target's own package; here it is judged, the same for all targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..runtime_ref.bundle import LayerEntry
from .folded import FoldedLayer, NetworkWeights
from .parameters import StoredConstant, compare_others

Array = NDArray[Any]


class Stored(Protocol):
    """A convolution of a file, in its target's own form."""

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str:
        """How its weight is stored: "fp32", "fp16", "int8" …"""
        ...


Found = TypeVar("Found", bound=Stored)


@dataclass(frozen=True)
class Judged:
    """What holding a convolution against the network's showed.

    Attributes:
        difference: the greatest from the folded fp32 weight.
        problems: what is not as it must be.
    """

    difference: float
    problems: tuple[str, ...]


@dataclass(frozen=True)
class StoredWeights(Generic[Found]):
    """How a target's file is read and judged.

    Attributes:
        convolutions: all of a file, in the order in which they are computed; a shared one several times.
        constants: every tensor of numbers in it.
        judge: holds a convolution against the network's.
        dense: the fully connected operations of a file that quantising changes, by the names that it knows them by,
            with their weights.
    """

    convolutions: Callable[[Path], Sequence[Found]]
    constants: Callable[[Path], Sequence[StoredConstant]]
    judge: Callable[[FoldedLayer, Found], Judged]
    dense: Callable[[Path], Mapping[str, StoredConstant]]

    def compare(self, expected: NetworkWeights, path: Path) -> tuple[LayerEntry, ...]:
        """Compare a file's weights with the network's, one entry a layer.

        Returns:
            Entries named as the network's layers, convolutions first; `problem` says what is wrong, `uncompared` what
            could not be told.
        """
        found = list(self.convolutions(path))
        if not expected.others:
            return compare_in_order(expected.convolutions, found, self.judge)
        # What another layer became may be one more convolution: those are left to the constants.
        entries = compare_in_order(expected.convolutions, aligned(expected.convolutions, found), self.judge)
        return (*entries, *compare_others(expected.others, self.constants(path)))


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

    @property
    def label(self) -> str:
        """See `Stored`."""
        return self.stored


def half_step(values: Array) -> Array:
    """How far a number that float16 rounded to each of these values was from it at most, in the values' shape."""
    normal = np.maximum(np.abs(values).astype(np.float64), 2.0**-14)  # below are subnormals, equally spaced
    return 2.0 ** (np.frexp(normal)[1] - 12.0)  # 11 bits from the leading one on, and half of the last


def compare_weights(expected: Sequence[FoldedLayer], stored: Sequence[StoredConvolution]) -> tuple[LayerEntry, ...]:
    """Compare convolutions within the rounding of their storage; see `compare_in_order`."""
    return compare_in_order(expected, stored, within_rounding)


def compare_in_order(
    expected: Sequence[FoldedLayer], stored: Sequence[Found], judge: Callable[[FoldedLayer, Found], Judged]
) -> tuple[LayerEntry, ...]:
    """Compare convolutions one by one, one entry a layer (one that is called several times has one).

    Args:
        expected: the network's, in the order of their calls; see `folded_layers`.
        stored: the file's, in the order in which it computes them. A converter that changed the order, left one out
            or added one is a problem.
        judge: compares two.

    Returns:
        Entries named as the network's layers; `problem` says what is not as it must be.
    """
    entries: dict[str, LayerEntry] = {}
    for number, layer in enumerate(expected):
        entry = _compare(layer, stored[number] if number < len(stored) else None, judge)
        if layer.name not in entries or (entry.problem and not entries[layer.name].problem):
            entries[layer.name] = entry
    for extra in stored[len(expected) :]:
        problem = f"the file computes {extra.name}, the network has no such convolution"
        entries[f"{extra.name} (extra)"] = LayerEntry(
            name=extra.name, parameters=0, stored=extra.label, difference=0.0, problem=problem
        )
    return tuple(entries.values())


def aligned(expected: Sequence[FoldedLayer], stored: Sequence[StoredConvolution | Any]) -> list[Any]:
    """The file's convolutions that are the network's, where the file has more: the first in order of fitting shapes."""
    left = list(stored)
    surplus = len(left) - len(expected)
    chosen = []
    for layer in expected:
        while surplus > 0 and left and tuple(left[0].weight.shape) != layer.weight.shape:
            left.pop(0)
            surplus -= 1
        if left:
            chosen.append(left.pop(0))
    return chosen


def _compare(layer: FoldedLayer, found: Found | None, judge: Callable[[FoldedLayer, Found], Judged]) -> LayerEntry:
    parameters = layer.weight.size + layer.bias.size
    if found is None:
        problem = "the file lacks this convolution"
        return LayerEntry(name=layer.name, parameters=parameters, stored="", difference=0.0, problem=problem)
    judged = judge(layer, found)
    if judged.problems and layer.joined is not None:
        other = judge(layer.joined, found)
        judged = judged if other.problems else other
    return LayerEntry(
        name=layer.name,
        parameters=parameters,
        stored=found.label,
        difference=judged.difference,
        problem="; ".join(judged.problems),
    )


def within_rounding(layer: FoldedLayer, found: StoredConvolution) -> Judged:
    """Every number is the network's within the rounding of its storage."""
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
            problems += _difference(part, wanted, values, step, layer.rounding)
    return Judged(max(differences), tuple(problems))


def _difference(part: str, wanted: Array, found: Array, step: Array | float, rounding: float) -> list[str]:
    """How many numbers differ by more than the step, and where the first of them stands."""
    granted = _beside(step, wanted.ndim) + rounding * np.abs(wanted).max()
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

"""Where a program and the network that it was converted from part: each layer's output, found among the program's.

What runs the network is not known here: a layer is a name, a kind and the values that it gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from ..errors import DofkitError
from ..matching import Layer, Localisation, Match, Measure
from .arrays import Array
from .diff import Difference, computing, default_tolerance, magnitude, max_abs
from .evaluator import Value
from .features import ColorSpace, Feature
from .model import MLProgram
from .program import Operation
from .trace import Trace

_PIXEL_MAX = np.float32(255)
_MEASURE = Measure(max_abs, magnitude)


class LayerFinding(Enum):
    """What became of a layer in the program."""

    AGREES = "agrees"
    PARTS = "parts"
    FUSED = "fused"
    """Merged into another layer, which is compared instead."""


@dataclass(frozen=True)
class LayerDiff:
    """A layer, and the result of the program that is nearest to its output.

    Attributes:
        name, kind, shape: the layer.
        finding: whether that result is the layer's.
        operation: the operation that gives it; None where the program has nothing of the layer's shape left.
        difference: how far they are apart.
        absorbed_by: for FUSED, the layer that it became part of.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    finding: LayerFinding
    operation: Operation | None = None
    difference: Difference | None = None
    absorbed_by: str | None = None


@dataclass(frozen=True)
class NetworkDiff:
    """What a comparison of a program and its network found; the last of `layers` is the network's output."""

    tolerance: float
    layers: tuple[LayerDiff, ...]

    @property
    def first(self) -> LayerDiff | None:
        """The first layer that parts."""
        return next((layer for layer in self.layers if layer.finding is LayerFinding.PARTS), None)

    @property
    def agree(self) -> bool:
        """Whether no layer parts."""
        return self.first is None


def network_inputs(program: MLProgram, inputs: Mapping[str, Any], names: Sequence[str]) -> dict[str, Array]:
    """A program's inputs as the network takes them: float32 `[1, C, H, W]`, pixels in [0, 1], colours as RGB.

    Args:
        inputs: as `MLProgram.run` takes them.
        names: the network's inputs.

    Raises:
        DofkitError: the program's inputs are others.
    """
    features = {feature.name: feature for feature in program.inputs}
    if set(features) != set(names):
        raise DofkitError(
            f"{program.package.path} takes {', '.join(features)}, the network takes {', '.join(names)}; name the stage "
            "that was exported"
        )
    return {name: _as_network(features[name], features[name].to_program(inputs[name])) for name in names}


def compare_layers(
    program: MLProgram,
    inputs: Mapping[str, Any],
    layers: Sequence[Layer],
    output: Array,
    tolerance: float | None = None,
) -> NetworkDiff:
    """Find every layer's output among a program's results and compare them.

    The program is evaluated twice: once to find where each layer's output is, once to compare whole values, so that
    its results never have to be kept. A layer is looked for where the one before it was found, or later.

    Args:
        inputs: as `MLProgram.run` takes them.
        layers: in the order in which the network computes them, for the same inputs.
        output: what the network gave for the program's only output.
        tolerance: part of the layer's greatest magnitude; that of `default_tolerance` without.

    Raises:
        DofkitError: the program has several outputs.
    """
    if len(program.outputs) != 1:
        raise DofkitError(f"{program.package.path} has {len(program.outputs)} outputs, the network has one")
    limit = default_tolerance(program) if tolerance is None else tolerance
    (feature,) = program.outputs
    results = _Results(program, inputs)
    matches = Localisation(layers, results, _MEASURE, limit, in_order=True).matches
    rows = [_judged(layer, match, limit) for layer, match in zip(layers, matches, strict=True)]
    result = results.outputs
    difference = Difference.between(output, _as_network(feature, result[feature.name]))
    finding = LayerFinding.PARTS if difference.relative > limit else LayerFinding.AGREES
    giver = {name: op for op in computing(program.function.block) for name, _ in op.outputs}.get(feature.name)
    return NetworkDiff(limit, (*rows, LayerDiff(feature.name, "output", output.shape, finding, giver, difference)))


class _Results:
    """A program's results, computed anew by every iteration.

    Attributes:
        outputs: those that the program gives, once an iteration came to its end.
    """

    def __init__(self, program: MLProgram, inputs: Mapping[str, Any]) -> None:
        self.outputs: dict[str, Any] = {}
        self._program, self._inputs = program, inputs

    def __iter__(self) -> Iterator[tuple[Operation, Value]]:
        with closing(Trace(self._program, self._inputs)) as trace:
            for operation, values in trace:
                for value in values:
                    yield operation, value
            self.outputs = trace.finish().values


def _judged(layer: Layer, match: Match[Operation] | None, limit: float) -> LayerDiff:
    shape = layer.value.shape
    difference = None if match is None else Difference(match.distance, magnitude(layer.value))
    if match is not None and difference is not None and match.fits and difference.relative <= limit:
        return LayerDiff(layer.name, layer.kind, shape, LayerFinding.AGREES, match.key, difference)
    if layer.absorbed_by is not None:
        return LayerDiff(layer.name, layer.kind, shape, LayerFinding.FUSED, absorbed_by=layer.absorbed_by)
    operation = None if match is None else match.key
    return LayerDiff(layer.name, layer.kind, shape, LayerFinding.PARTS, operation, difference)


def _as_network(feature: Feature, value: Array) -> Array:
    """A value of the program in the network's range and order of colours."""
    if feature.color is ColorSpace.BGR:
        value = value[:, ::-1]
    pixels = feature.color not in (None, ColorSpace.GRAYSCALE_FLOAT16)
    value = np.ascontiguousarray(value, np.float32)
    return value / _PIXEL_MAX if pixels else value

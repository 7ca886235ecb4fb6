"""The first layer of a reference whose output an exported file does not compute.

The reference's layers come from PyTorch (`train.tracing`) or from another file of the same network (`layers_of`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...backends.tracers import Tracer
from ...matching import Array, Layer, Localisation, Measure, floats
from ...target import Precision

# What runtimes fuse into the layer before: then only the result of both is in the file.
_FUSED: tuple[Callable[[Array], Array], ...] = (
    lambda x: x,
    lambda x: np.maximum(x, 0),
    lambda x: np.clip(x, 0, 6),
    lambda x: x * np.clip(x + 3, 0, 6) / 6,
)
# A map that varies little (a flat picture's) is held against this part of its magnitude, one that does not vary at all
# (a single cell, enlarged or not) against its magnitude.
_FLAT, _CONSTANT = 0.1, 1e-3
_NAME = 72  # characters of a tensor's name that are shown; TFLite's are whole paths of classes


def _distance(expected: Array, found: Array) -> float:
    return _rms(found - expected.astype(np.float64))


def _rms(values: Array) -> float:
    """Root mean square; infinite for numbers that are not finite."""
    with np.errstate(all="ignore"):
        mean = float(np.mean(np.square(values, dtype=np.float64)))
    return float(np.sqrt(mean)) if np.isfinite(mean) else float("inf")


def _variation(values: Array) -> float:
    """Root mean square around each channel's mean; around zero where channels are constant."""
    magnitude = max(_rms(values), float(np.finfo(np.float32).tiny))
    if values.ndim != 4:
        return magnitude
    deviation = _rms(values - values.mean(axis=(2, 3), keepdims=True, dtype=np.float64))
    return max(deviation, _FLAT * magnitude) if deviation > _CONSTANT * magnitude else magnitude


_MEASURE = Measure(_distance, _variation, _FUSED)


@dataclass(frozen=True)
class Divergence:
    """The first layer whose output is not in the file.

    Attributes:
        layer, kind: of the reference.
        shape: the layer's output.
        tensor: the file's tensor that stands in its place; None where none of its shape is left.
        relative_error: how far that tensor is from the layer's output, see `relative_error`; None without a tensor.
        cut: the range that the tensor is cut off at, where that is all that is wrong with it.
    """

    layer: str
    kind: str
    shape: tuple[int, ...]
    tensor: str | None = None
    relative_error: float | None = None
    cut: tuple[float, float] | None = None

    def __str__(self) -> str:
        where = f"first difference at {self.layer} ({self.kind})"
        if self.tensor is None or self.relative_error is None:
            return f"{where}: the file has no tensor {list(self.shape)} in its place"
        name = self.tensor if len(self.tensor) <= _NAME else f"…{self.tensor[1 - _NAME :]}"
        line = f"{where}: tensor {name} {list(self.shape)} is off by {self.relative_error:.2g} of its variation"
        if self.cut is None:
            return line
        low, high = self.cut
        return f"{line}: cut off at {low:.3g} and {high:.3g}; if calibrated, then not on pictures like this one"


def divergence_limit(precision: Precision) -> float:
    """The relative error from which on a tensor is another one, for files of a precision held against fp32.

    Figures are the worst over all layers of the shipped networks, TFLite, ONNX and Core ML, on a photo and on the hard
    case. A layer whose weights are lost has a relative error of 1 and more.
    """
    match precision:
        case Precision.FP32:
            return 1e-4  # measured 1.2e-6: only sums in another order
        case Precision.FP16:
            return 0.1  # measured 3.3e-3; deeper networks, and random weights, reach more
        case Precision.W8 | Precision.PALETTE8:
            return 0.3  # measured 0.036 for int8
        case Precision.DYNAMIC:
            return 0.5  # measured 0.13
        case Precision.W8A8 | Precision.MIXED | Precision.PALETTE6:
            return 0.7  # measured 0.42 for w8a8
        case Precision.W4 | Precision.PALETTE4:
            return 0.8  # measured 0.63 for int4


def relative_error(expected: Array, found: Array) -> float:
    """Root mean square of the difference, as a part of what the expected values vary by.

    They vary around the mean of each channel: a bias alone, which is what lost weights leave, is no agreement.
    """
    return _MEASURE.distance(expected, found) / _MEASURE.scale(expected)


def layers_of(tracer: Tracer, inputs: Mapping[str, Array]) -> list[Layer]:
    """All float results of a file as layers, to hold another file of the same network against them."""
    return [Layer(name, "tensor", value.astype(np.float32)) for name, value in floats(tracer.trace(inputs))]


def first_divergence(
    tracer: Tracer, inputs: Mapping[str, Array], layers: Sequence[Layer], limit: float
) -> Divergence | None:
    """The first layer whose output is nowhere among a file's tensors, also not behind an activation.

    The file is traced twice, to find every layer by a sample and then to compare whole tensors, so that its results
    never have to be kept.

    Args:
        tracer: the file.
        inputs: as `Session.run` takes them, the same that the layers were computed from.
        layers: of the reference in the order of the calls; append the network's output, if that is to be compared.
        limit: greatest relative error that is an agreement; see `divergence_limit`.

    Returns:
        None if every layer is there.
    """
    searched = [layer for layer in layers if layer.absorbed_by is None]
    located = Localisation(searched, _Results(tracer, inputs), _MEASURE, limit)
    last = -1
    for index, (layer, match) in enumerate(zip(searched, located.matches, strict=True)):
        if match is not None and match.error <= limit:
            last = max(last, match.number)
            continue
        if match is None or not match.fits:
            match = located.unrecognised(index, last)
        named, shape = _named(layer, layers), layer.value.shape
        if match is None:
            return Divergence(named.name, named.kind, shape)
        return Divergence(named.name, named.kind, shape, match.key, match.error, located.cut(index, match))
    return None


@dataclass(frozen=True)
class _Results:
    """A file's results, computed anew by every iteration."""

    tracer: Tracer
    inputs: Mapping[str, Array]

    def __iter__(self) -> Iterator[tuple[str, Array]]:
        return self.tracer.trace(self.inputs)


def _named(layer: Layer, layers: Sequence[Layer]) -> Layer:
    """What a layer is called: a BatchNorm by the convolution that it was folded into."""
    return next((other for other in layers if other.absorbed_by == layer.name), layer)

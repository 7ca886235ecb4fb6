"""Where the output of each layer of a reference is among the results of something else: the engine of localisation.

Values decide, not names: converters rename, fuse and reorder. What an error is, and how great a one is still an
agreement, is the caller's question (`parity.diagnosis.localisation`, `mil.layers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Key = TypeVar("Key")

# Values of a layer that are enough to find it among many results; all of them are compared once it is found.
_SAMPLES = 4096
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, eq=False)
class Layer:
    """One call of a layer.

    Attributes:
        name: its path in the network, "(2)" added at its second call.
        kind: its class.
        value: what it gave, float32.
        absorbed_by: name of the layer that converters merge it into, so that the program lacks its own output.
    """

    name: str
    kind: str
    value: Array
    absorbed_by: str | None = None


@dataclass(frozen=True)
class Measure:
    """What an error is: a distance as a part of a scale.

    Attributes:
        distance: of found values from expected ones; infinite where one of them is not finite.
        scale: of the whole expected output; 0 counts as the least float.
        forms: what a program may hold in the place of a layer's output, computed from it element by element.
    """

    distance: Callable[[Array, Array], float]
    scale: Callable[[Array], float]
    forms: tuple[Callable[[Array], Array], ...] = (lambda x: x,)


@dataclass(frozen=True)
class Match(Generic[Key]):
    """A result in the place of a layer's output.

    Attributes:
        key, number: the result, and its place in their order.
        form: which of the measure's forms of the layer is nearest to it.
        distance, scale: see `Measure`; the distance is that of a sample until whole values were compared.
        fits: whether a sample agrees.
    """

    key: Key
    number: int
    form: int
    distance: float
    scale: float
    fits: bool

    @property
    def error(self) -> float:
        """distance / scale."""
        return _part(self.distance, self.scale)


class Localisation(Generic[Key]):
    """Every layer held against the result that is nearest to its output.

    The results are read twice, to find every layer by a sample and then to compare whole values, so that they never
    have to be kept.

    Args:
        layers: in the order of the calls.
        results: every iteration computes them anew and gives a key and the value of each; only floats count. A value
            has to be valid until the next one.
        measure: what an error is.
        limit: the greatest error that is an agreement.
        in_order: look for a layer no earlier than where the one before it agreed.

    Attributes:
        matches: a layer's match by whole values; None where there is no result of its shape.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        results: Iterable[tuple[Key, Any]],
        measure: Measure,
        limit: float,
        in_order: bool = False,
    ) -> None:
        self._limit = limit
        self._samples = [_Sample(key, value.shape, _sampled(value).copy()) for key, value in floats(results)]
        self._sought = [_Sought(layer, measure, limit) for layer in layers]
        places: list[Match[Key] | None] = []
        start = 0
        for sought in self._sought:
            place = self._nearest(sought, start)
            places.append(place)
            if in_order and place is not None and place.fits:
                start = place.number
        self.matches = self._exact(results, measure, places)

    def unrecognised(self, index: int, after: int) -> Match[Key] | None:
        """What stands in a layer's place, if its output is nowhere: the first result of its shape that is no layer's.

        Args:
            index: of the layer.
            after: the number of the result behind which to look.
        """
        sought = self._sought[index]
        others = [other for other in self._sought if other.layer.value.shape == sought.layer.value.shape]
        for number in self._candidates(sought, after + 1):
            if not any(other.match(number, self._samples[number]).fits for other in others):
                return sought.match(number, self._samples[number])
        return None

    def cut(self, index: int, match: Match[Key]) -> tuple[float, float] | None:
        """The range of a result that is a layer's output but for being cut off at it; None where it is not."""
        found = self._samples[match.number].values
        low, high = float(found.min()), float(found.max())
        if not low < high:
            return None
        error = self._sought[index].error_if_cut(found, low, high)
        return (low, high) if error <= min(self._limit, match.error / 2) else None

    def _candidates(self, sought: _Sought, start: int) -> Iterator[int]:
        shape = sought.layer.value.shape
        return (number for number in range(start, len(self._samples)) if self._samples[number].shape == shape)

    def _nearest(self, sought: _Sought, start: int) -> Match[Key] | None:
        """Of several that are as near (a picture without colour has equal channels) the first."""
        places = [sought.match(number, self._samples[number]) for number in self._candidates(sought, start)]
        least = 2 * min((place.error for place in places), default=0.0)
        return next((place for place in places if place.error <= least), None)

    def _exact(
        self, results: Iterable[tuple[Key, Any]], measure: Measure, places: Sequence[Match[Key] | None]
    ) -> list[Match[Key] | None]:
        """The matches by whole values."""
        wanted: dict[int, list[int]] = {}
        for index, place in enumerate(places):
            if place is not None:
                wanted.setdefault(place.number, []).append(index)
        matches = list(places)
        for number, (_, value) in enumerate(floats(results)):
            for index in wanted.get(number, ()):
                place = places[index]
                assert place is not None
                expected = measure.forms[place.form](self._sought[index].layer.value)
                matches[index] = replace(place, distance=measure.distance(expected, value))
        return matches


def floats(results: Iterable[tuple[Key, Any]]) -> Iterator[tuple[Key, Array]]:
    """Those results that layers can be held against: arrays of floats that are not empty."""
    for key, value in results:
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size:
            yield key, value


@dataclass(frozen=True, eq=False)
class _Sample(Generic[Key]):
    """A result by a sample of its values."""

    key: Key
    shape: tuple[int, ...]
    values: Array


class _Sought:
    """A layer that is looked for, by samples of all its forms."""

    def __init__(self, layer: Layer, measure: Measure, limit: float) -> None:
        self.layer = layer
        self._limit = limit
        self._distance = measure.distance
        self._forms = [form(_sampled(layer.value)).astype(np.float64) for form in measure.forms]
        self._scales = [max(measure.scale(form(layer.value)), _TINY) for form in measure.forms]

    def match(self, number: int, sample: _Sample[Key]) -> Match[Key]:
        """How near a result is, as far as a sample tells."""
        distances = [self._distance(expected, sample.values) for expected in self._forms]
        errors = list(map(_part, distances, self._scales))
        form = int(np.argmin(errors))
        return Match(sample.key, number, form, distances[form], self._scales[form], errors[form] <= self._limit)

    def error_if_cut(self, found: Array, low: float, high: float) -> float:
        """The error of a sample against the nearest form, cut off at a range."""
        pairs = zip(self._forms, self._scales, strict=True)
        return min(_part(self._distance(expected.clip(low, high), found), scale) for expected, scale in pairs)


def _part(distance: float, scale: float) -> float:
    return distance / scale if np.isfinite(distance) else float("inf")  # also where the scale is infinite


def _sampled(values: Array) -> Array:
    """Up to 4096 values, flat; of arrays of one size always those at the same places."""
    flat = values.reshape(-1)
    return flat if flat.size <= _SAMPLES else flat[_positions(flat.size)]


@cache
def _positions(size: int) -> Array:
    return np.random.default_rng(size).integers(0, size, _SAMPLES)

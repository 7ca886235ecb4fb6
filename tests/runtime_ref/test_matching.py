"""The engine that both localisers share: which result is a layer's, by any measure, in any order or in one."""

from __future__ import annotations

import numpy as np
import pytest

from dofkit.runtime_ref.matching import Array, Layer, Localisation, Measure

LARGEST = Measure(lambda a, b: float(np.abs(a - b).max()), lambda a: float(np.abs(a).max()))


def _layer(name: str, value: Array) -> Layer:
    return Layer(name, "Conv2d", value.astype(np.float32))


def _maps(count: int, side: int = 80) -> list[Array]:
    return list(np.random.default_rng(3).standard_normal((count, 1, 2, side, side)).astype(np.float32))


def test_an_error_that_no_sample_shows_is_found_in_the_whole_values() -> None:
    (value,) = _maps(1)
    wrong = value.copy()
    wrong.flat[_unsampled(value)] += 5
    (match,) = Localisation([_layer("a", value)], [("t", wrong)], LARGEST, 1e-3).matches
    assert match is not None
    assert match.fits
    assert match.error == pytest.approx(5 / np.abs(value).max(), rel=1e-5)


def test_in_order_a_result_before_the_last_layers_is_not_taken() -> None:
    first, second = _maps(2)
    layers, results = [_layer("a", first), _layer("b", second)], [("second", second), ("first", first)]
    free = Localisation(layers, results, LARGEST, 1e-3).matches
    ordered = Localisation(layers, results, LARGEST, 1e-3, in_order=True).matches
    assert [match and match.key for match in free] == ["first", "second"]
    assert [match and match.key for match in ordered] == ["first", "first"]
    assert ordered[1] is not None
    assert not ordered[1].fits


def test_results_that_are_no_floats_or_of_another_shape_are_no_match() -> None:
    (value,) = _maps(1)
    results = [("integers", value.astype(np.int32)), ("text", "relu"), ("turned", value.transpose(0, 1, 3, 2)[..., :9])]
    assert Localisation([_layer("a", value)], results, LARGEST, 1.0).matches == [None]


def test_a_layer_that_is_zero_everywhere_matches_zeros_and_nothing_else() -> None:
    zeros = np.zeros((1, 2, 8, 8), np.float32)
    same, other = (
        Localisation([_layer("a", zeros)], [("t", found)], LARGEST, 1e-3).matches[0] for found in (zeros, zeros + 1)
    )
    assert same is not None
    assert other is not None
    assert (same.error, same.fits, other.fits) == (0.0, True, False)


def _unsampled(value: Array) -> int:
    """A place that the engine's sample does not look at: found by asking it."""
    for place in range(value.size):
        marked = value.copy()
        marked.flat[place] = np.inf
        (match,) = Localisation([_layer("a", value)], [("t", marked)], LARGEST, 1e-3).matches
        if match is not None and match.fits:
            return place
    raise AssertionError("every place is sampled")

"""Stored weights are judged by the rounding that their storage may cause, whatever the target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from dofkit.export.folded import FoldedLayer, with_preprocessing
from dofkit.export.stored import StoredConvolution, compare_weights, half_step
from dofkit.train.networks.adapted import AdaptedDepth
from dofkit.train.networks.contract import Meaning, Preprocessing

Array = NDArray[Any]


def _layer(name: str = "head.0", seed: int = 0, channels: int = 4) -> FoldedLayer:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((channels, 3, 3, 3)).astype(np.float32)
    return FoldedLayer(name, weight, rng.standard_normal(channels).astype(np.float32))


def _exact(layer: FoldedLayer, **changes: Any) -> StoredConvolution:
    parts = {"weight": layer.weight.astype(np.float64), "bias": layer.bias.astype(np.float64)}
    return StoredConvolution(**{"name": layer.name, **parts, "stored": "fp32", "step": 0.0, **changes})


def _int8(layer: FoldedLayer) -> tuple[Array, Array]:
    """Weights on 127 levels of each channel, and the scales `[O]`."""
    scale = np.abs(layer.weight).max(axis=(1, 2, 3)).astype(np.float64) / 127
    along = scale[:, None, None, None]
    return np.round(layer.weight / along) * along, scale


def test_equal_weights_have_no_problem_and_no_difference() -> None:
    layer = _layer()
    (entry,) = compare_weights([layer], [_exact(layer)])
    assert (entry.name, entry.stored, entry.problem, entry.difference) == ("head.0", "fp32", "", 0.0)
    assert entry.parameters == 4 * 27 + 4


def test_the_last_bits_of_another_order_of_folding_are_granted_and_no_more() -> None:
    layer = _layer()
    largest = float(np.abs(layer.weight).max())
    for difference, passes in ((2.0**-23 * largest, True), (2.0**-20 * largest, False)):
        weight = layer.weight.astype(np.float64)
        weight[2, 1, 0, 2] += difference
        (entry,) = compare_weights([layer], [_exact(layer, weight=weight)])
        assert (entry.problem == "") is passes
        assert entry.difference == pytest.approx(difference)


def test_integers_may_be_off_by_half_a_scale_of_their_own_channel() -> None:
    layer = _layer()
    weight, scale = _int8(layer)
    stored = _exact(layer, weight=weight, stored="int8", step=scale / 2)
    assert compare_weights([layer], [stored])[0].problem == ""
    # Two levels further: rounding never explains it, in whichever direction it went.
    weight[3, 0, 1, 1] += 2 * scale[3]
    (entry,) = compare_weights([layer], [stored])
    assert entry.problem.startswith("1 of 108 weights differ, first [3, 0, 1, 1]: ")
    assert entry.problem.endswith(f"instead of {layer.weight[3, 0, 1, 1]:.7g}")


def test_a_step_may_be_given_for_every_weight() -> None:
    layer = _layer()
    half = layer.weight.astype(np.float16).astype(np.float64)
    stored = _exact(layer, weight=half, stored="fp16", step=half_step(half))
    assert compare_weights([layer], [stored])[0].problem == ""
    half[0, 0, 0, 0] *= 1 + 2.0**-9
    assert "first [0, 0, 0, 0]" in compare_weights([layer], [stored])[0].problem


def test_a_bias_has_a_step_of_its_own() -> None:
    layer = _layer()
    bias = layer.bias + np.array([0, 0.01, 0, 0])
    assert "1 of 4 biases differ, first [1]" in compare_weights([layer], [_exact(layer, bias=bias)])[0].problem
    assert compare_weights([layer], [_exact(layer, bias=bias, bias_step=0.011)])[0].problem == ""


def test_no_bias_stands_for_zeros() -> None:
    layer = _layer()
    silent = FoldedLayer(layer.name, layer.weight, np.zeros(4, np.float32))
    assert compare_weights([silent], [_exact(layer, bias=None)])[0].problem == ""
    assert "4 of 4 biases differ" in compare_weights([layer], [_exact(layer, bias=None)])[0].problem


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_wrong_however_large_the_step(value: float) -> None:
    layer = _layer()
    weight = layer.weight.astype(np.float64)
    weight[1, 1, 1, 1] = value
    (entry,) = compare_weights([layer], [_exact(layer, weight=weight, step=100.0)])
    assert "1 of 108 weights differ, first [1, 1, 1, 1]" in entry.problem


def test_a_layer_that_is_missing_changed_in_shape_or_extra_is_named() -> None:
    first, second = _layer("first"), _layer("second", channels=5)
    (_, missing) = compare_weights([first, second], [_exact(first)])
    assert (missing.name, missing.problem) == ("second", "the file lacks this convolution")
    (swapped, _) = compare_weights([first, second], [_exact(second), _exact(first)])
    assert "weights of second have the shape [5, 3, 3, 3], not [4, 3, 3, 3]" in swapped.problem
    (_, extra) = compare_weights([first], [_exact(first), _exact(second)])
    assert (extra.name, extra.problem) == ("second", "the file computes second, the network has no such convolution")


def test_a_layer_called_several_times_has_one_entry_which_tells_of_its_worst_call() -> None:
    layer, other = _layer("shared"), _layer("other", seed=1)
    wrong = _exact(layer, weight=layer.weight * 2.0)
    entries = compare_weights([layer, other, layer], [_exact(layer), _exact(other), wrong])
    assert [entry.name for entry in entries] == ["shared", "other"]
    assert "108 of 108 weights differ" in entries[0].problem
    assert entries[1].problem == ""


@given(st.floats(-60000, 60000))
def test_a_half_step_is_what_rounding_to_float16_may_cause_and_no_more(value: float) -> None:
    half = np.float64(np.float16(value))
    assert abs(half - value) <= half_step(np.array(half))
    assert half_step(np.array(half)) == np.spacing(np.abs(np.float16(half))).astype(np.float64) / 2


def test_a_convolution_may_have_the_images_mean_and_deviation_in_it_but_nothing_else() -> None:
    layer = _layer()
    weight = layer.weight.astype(np.float64) / 0.5
    bias = layer.bias - (weight * 0.5).sum((1, 2, 3))
    network = AdaptedDepth(nn.Identity(), Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), Meaning.DEPTH)
    expected = with_preprocessing(layer, network)
    joined = _exact(layer, weight=weight, bias=bias.astype(np.float32).astype(np.float64))
    assert compare_weights([expected], [_exact(layer)])[0].problem == ""
    assert compare_weights([expected], [joined])[0].problem == ""
    wrong = _exact(layer, weight=weight, bias=bias + 1e-3)
    assert "biases differ" in compare_weights([expected], [wrong])[0].problem
    assert compare_weights([layer], [joined])[0].problem

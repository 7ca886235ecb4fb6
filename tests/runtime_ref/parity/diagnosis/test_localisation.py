"""The first layer that a file computes otherwise is named, with the tensor that stands in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest

from dofkit.runtime_ref.matching import Layer
from dofkit.runtime_ref.parity.diagnosis.localisation import (
    Divergence,
    divergence_limit,
    first_divergence,
    layers_of,
    relative_error,
)
from dofkit.runtime_ref.target import Precision

RNG = np.random.default_rng(0)
LIMIT = 1e-4
Tensors = list[tuple[str, np.ndarray]]


class Recorded:
    """A tracer of a file whose tensors are known."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors

    def trace(self, inputs: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        del inputs
        yield from self.tensors


def _map(channels: int = 4, side: int = 16) -> np.ndarray:
    return RNG.standard_normal((1, channels, side, side)).astype(np.float32)


@pytest.fixture
def chain() -> tuple[list[Layer], Tensors]:
    """Three convolutions, each followed by a ReLU, and a file that computes all of it."""
    layers: list[Layer] = []
    for i in range(3):
        value = _map()
        layers += [Layer(f"conv{i}", "Conv2d", value), Layer(f"relu{i}", "ReLU", np.maximum(value, 0))]
    return layers, [(f"t{i}", layer.value) for i, layer in enumerate(layers)]


def test_a_file_with_every_layer_has_no_divergence(chain: tuple[list[Layer], Tensors]) -> None:
    layers, tensors = chain
    assert first_divergence(Recorded(tensors), {}, layers, LIMIT) is None


@pytest.mark.parametrize(
    "activation", [lambda x: np.maximum(x, 0), lambda x: np.clip(x, 0, 6), lambda x: x * np.clip(x + 3, 0, 6) / 6]
)
def test_an_activation_fused_into_its_layer_is_no_divergence(activation: Callable[[np.ndarray], np.ndarray]) -> None:
    value = 4 * _map()
    layers = [Layer("conv", "Conv2d", value), Layer("act", "Activation", activation(value))]
    assert first_divergence(Recorded([("fused", activation(value))]), {}, layers, LIMIT) is None


def test_a_fused_norm_is_looked_for_instead_of_its_convolution() -> None:
    value = _map()
    layers = [Layer("conv", "Conv2d", 3 * value - 1, absorbed_by="norm"), Layer("norm", "BatchNorm2d", value)]
    assert first_divergence(Recorded([("folded", value)]), {}, layers, LIMIT) is None
    wrong = first_divergence(Recorded([("folded", value + 1)]), {}, layers, LIMIT)
    assert wrong is not None
    assert (wrong.layer, wrong.kind, wrong.tensor) == ("conv", "Conv2d", "folded")


def test_the_first_layer_that_is_nowhere_is_named_with_the_tensor_in_its_place(
    chain: tuple[list[Layer], Tensors],
) -> None:
    layers, tensors = chain
    for i in range(2, 6):
        tensors[i] = (tensors[i][0], np.zeros((1, 4, 16, 16), np.float32))
    found = first_divergence(Recorded(tensors), {}, layers, LIMIT)
    assert found is not None
    assert (found.layer, found.tensor, found.shape) == ("conv1", "t2", (1, 4, 16, 16))
    assert found.relative_error == pytest.approx(1, abs=0.1)
    assert str(found) == "first difference at conv1 (Conv2d): tensor t2 [1, 4, 16, 16] is off by 1 of its variation"


def test_a_layer_of_a_shape_that_the_file_has_not_is_named(chain: tuple[list[Layer], Tensors]) -> None:
    layers, tensors = chain
    layers[3] = Layer("relu1", "ReLU", _map(channels=5))
    found = first_divergence(Recorded(tensors), {}, layers, LIMIT)
    assert found == Divergence("relu1", "ReLU", (1, 5, 16, 16))
    assert "the file has no tensor [1, 5, 16, 16]" in str(found)


def test_one_wrong_pixel_parts_though_a_sample_misses_it() -> None:
    value = _map(side=64)
    wrong = value.copy()
    wrong[0, 3, 63, 63] += 1
    found = first_divergence(Recorded([("t", wrong)]), {}, [Layer("conv", "Conv2d", value)], LIMIT)
    assert found is not None
    assert found.tensor == "t"


def test_a_range_that_was_measured_too_narrow_is_said_to_be() -> None:
    value = 3 * _map()
    found = first_divergence(Recorded([("t", value.clip(-1, 0.5))]), {}, [Layer("conv", "Conv2d", value)], LIMIT)
    assert found is not None
    assert found.cut == (-1, 0.5)
    assert str(found).endswith("cut off at -1 and 0.5; if calibrated, then not on pictures like this one")
    zeros = first_divergence(Recorded([("t", 0 * value)]), {}, [Layer("conv", "Conv2d", value)], LIMIT)
    assert zeros is not None
    assert zeros.cut is None


def test_numbers_that_are_none_part() -> None:
    value = _map()
    found = first_divergence(Recorded([("t", value * np.nan)]), {}, [Layer("conv", "Conv2d", value)], LIMIT)
    assert found is not None
    assert found.relative_error == np.inf


def test_tensors_in_another_order_are_found_all_the_same(chain: tuple[list[Layer], Tensors]) -> None:
    layers, tensors = chain
    assert first_divergence(Recorded(tensors[::-1]), {}, layers, LIMIT) is None


def test_integers_and_empty_tensors_are_no_layers() -> None:
    tensors = [("shape", np.array([1, 2])), ("empty", np.zeros((0, 3), np.float32)), ("t", _map())]
    assert [layer.name for layer in layers_of(Recorded(tensors), {})] == ["t"]


def test_lost_weights_have_a_relative_error_of_one_though_the_bias_stays() -> None:
    """A bias that is five times the signal: zeros in place of the map would be off by far more."""
    value = _map() + 5
    assert relative_error(value, np.full_like(value, 5)) == pytest.approx(1, abs=0.05)


def test_a_constant_map_has_a_relative_error_of_a_part_of_its_magnitude() -> None:
    value = np.repeat(np.array([1, 2, 3, 4], np.float32), 256).reshape(1, 4, 16, 16)
    assert relative_error(value, value * np.float32(1.1)) == pytest.approx(0.1, rel=1e-3)
    cell = value[..., :1, :1]
    assert relative_error(cell, cell * np.float32(1.1)) == pytest.approx(0.1, rel=1e-3)


def test_no_limit_forgives_a_lost_layer() -> None:
    limits = [divergence_limit(precision) for precision in Precision]
    assert max(limits) < 0.9
    assert divergence_limit(Precision.FP32) < divergence_limit(Precision.FP16) < divergence_limit(Precision.W8A8)

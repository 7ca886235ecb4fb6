"""What is read back from a file's bytes is what the network's weights make of it, in every precision."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from dofkit.export.folded import folded_layers
from dofkit.export.stored import compare_weights
from dofkit.export.tflite.stored import convolutions
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.target import Precision
from dofkit.runtime_ref.tflite_file import TFLiteFile, operators

from .conftest import Convert, TFLiteStage

pytestmark = pytest.mark.e2e  # a conversion in every precision

STORED = {
    Precision.FP32: {"fp32"},
    Precision.FP16: {"fp16"},
    Precision.W8: {"int8"},
    Precision.DYNAMIC: {"int8", "fp16"},
    Precision.W8A8: {"int8"},
    Precision.W4: {"int4", "int8"},
}


def _path(converted: TFLiteStage, precision: Precision) -> Path:
    return converted.float32 if precision is Precision.FP32 else converted.file(precision)


@pytest.mark.parametrize("precision", STORED)
def test_every_precision_stores_the_networks_weights_within_its_rounding(
    blur: TFLiteStage, precision: Precision
) -> None:
    stored = convolutions(_path(blur, precision))
    expected = folded_layers(blur.graph.network, blur.graph.example())
    entries = compare_weights(expected, stored)
    assert [entry.problem for entry in entries if entry.problem] == []
    assert {entry.stored for entry in entries} == STORED[precision]
    assert len(stored) == len(expected) == 18
    assert [entry.name for entry in entries] == list(dict.fromkeys(layer.name for layer in expected))


@pytest.mark.parametrize("precision", STORED)
def test_a_single_weight_that_is_off_by_more_than_its_rounding_is_found(
    blur: TFLiteStage, precision: Precision
) -> None:
    stored = convolutions(_path(blur, precision))
    other = copy.deepcopy(blur.graph.network)
    weight = other.get_submodule("context.4").weight
    assert isinstance(weight, torch.Tensor)
    with torch.no_grad():  # 40 % of the layer's largest value are more than two steps of four bits
        weight[3, 2, 1, 0] += 0.4 * weight.abs().max()
    problems = [entry for entry in compare_weights(folded_layers(other, blur.graph.example()), stored) if entry.problem]
    assert [entry.name for entry in problems] == ["context.4"]
    assert "first [3, 2, 1, 0]" in problems[0].problem


@pytest.mark.parametrize("precision", STORED)
def test_convolutions_have_the_same_names_in_every_precision(blur: TFLiteStage, precision: Precision) -> None:
    names = [convolution.name for convolution in convolutions(blur.float32)]
    assert len(set(names)) == len(names)
    assert [convolution.name for convolution in convolutions(_path(blur, precision))] == names


def test_weights_behind_the_flatbuffer_are_read(convert_network: Convert) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 128, 1), torch.nn.Conv2d(128, 256, 3), torch.nn.Conv2d(256, 1, 1))
    large = convert_network(network)
    path = large.file(Precision.W8)
    assert path.stat().st_size > 256 * 1024  # from this size on the quantizer writes weights there
    entries = compare_weights(folded_layers(network, large.graph.example()), convolutions(path))
    assert [(entry.stored, entry.problem) for entry in entries] == [("int8", "")] * 3


def test_odd_counts_of_4_bit_weights_are_unpacked(convolution: TFLiteStage) -> None:
    (stored,) = convolutions(convolution.file(Precision.W4))
    weight = convolution.graph.network.weight
    assert isinstance(weight, torch.Tensor)
    wanted = weight.detach().numpy()
    step = np.abs(wanted).max() / 7
    assert wanted.size % 2 == 1
    np.testing.assert_allclose(stored.weight, np.round(wanted / step) * step, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(stored.step, step / 2, rtol=1e-6)


def test_operators_are_counted(convolution: TFLiteStage) -> None:
    assert operators(convolution.float32)["CONV_2D"] == 1
    quantised = operators(convolution.file(Precision.W8A8))
    assert (quantised["CONV_2D"], quantised["QUANTIZE"], quantised["DEQUANTIZE"]) == (1, 1, 1)


def test_what_is_no_tflite_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"version https://git-lfs")
    with pytest.raises(DofkitError, match=r"model\.tflite is no TFLite file; export the bundle again$"):
        TFLiteFile(path)

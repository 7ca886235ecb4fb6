"""Quantised files compute what their integers say, keep in floats what they are told to, and stay float32 outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import correlate

from dofkit.export.folded import folded_layers
from dofkit.export.layers import convolution_calls
from dofkit.export.stored import compare_weights
from dofkit.export.tflite.stored import CONVOLUTIONS, convolutions
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.metrics import psnr
from dofkit.runtime_ref.target import Precision
from dofkit.runtime_ref.tflite_file import TFLiteFile, operators

from .conftest import Convert, TFLiteStage

INTEGER = (Precision.W8, Precision.DYNAMIC, Precision.W8A8, Precision.W4)
EVERY = (Precision.FP16, *INTEGER)


def _convolved(image: NDArray[np.float64], weight: NDArray[np.float64], bias: float) -> NDArray[np.float64]:
    """A 3 × 3 convolution of `[3, H, W]` with zeros around it, to `[H, W]`."""
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    return correlate(padded, weight, mode="valid")[0] + bias


def _rounded_weight(weight: NDArray[np.float64], levels: int) -> NDArray[np.float64]:
    """A channel's weights on `levels` equal steps to either side of zero."""
    step = np.abs(weight).max() / levels
    return np.round(weight / step) * step


def _rounded_activation(values: NDArray[np.float64], low: float, high: float) -> tuple[NDArray[np.float64], float]:
    """Values on the 256 levels of a range that holds zero exactly, clipped to it; and the distance of two levels."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / 255
    zero = np.round(-low / step)
    return (np.clip(np.round(values / step) + zero, 0, 255) - zero) * step, step


def _parameters(converted: TFLiteStage) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """The image, and the weight and bias of its single convolution, as PyTorch has them."""
    network = converted.graph.network
    assert isinstance(network, torch.nn.Conv2d)
    assert network.bias is not None
    weight = network.weight.detach().numpy().astype(np.float64)[0]
    return converted.inputs["image"][0].astype(np.float64), weight, network.bias.item()


@pytest.mark.parametrize(("precision", "levels"), [(Precision.W8, 127), (Precision.W4, 7)])
def test_weights_alone_are_rounded_to_their_levels(convolution: TFLiteStage, precision: Precision, levels: int) -> None:
    image, weight, bias = _parameters(convolution)
    expected = _convolved(image, _rounded_weight(weight, levels), bias)
    found = convolution.run(convolution.file(precision))[0, 0]
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.abs(found - _convolved(image, weight, bias)).max() > 1e-4


def test_fp16_rounds_weights_to_halves(convolution: TFLiteStage) -> None:
    image, weight, bias = _parameters(convolution)
    expected = _convolved(image, weight.astype(np.float16).astype(np.float64), bias)
    np.testing.assert_allclose(convolution.run(convolution.file(Precision.FP16))[0, 0], expected, atol=2e-4)


def test_w8a8_computes_with_weights_and_activations_on_their_levels(convolution: TFLiteStage) -> None:
    image, weight, bias = _parameters(convolution)
    rounded, _ = _rounded_activation(image, *convolution.ranges["image"])
    exact = _convolved(rounded, _rounded_weight(weight, 127), bias)
    expected, step = _rounded_activation(exact, float(exact.min()), float(exact.max()))
    difference = np.abs(convolution.run(convolution.file(Precision.W8A8))[0, 0] - expected)
    assert difference.max() < 1.01 * step  # what lies between two levels may go to either
    assert np.mean(difference > 0.5 * step) < 0.05


def test_dynamic_rounds_activations_no_worse_than_their_range_demands(convolution: TFLiteStage) -> None:
    image, weight, bias = _parameters(convolution)
    rounded = _rounded_weight(weight, 127)
    found = convolution.run(convolution.file(Precision.DYNAMIC))[0, 0]
    difference = np.abs(found - _convolved(image, rounded, bias)).max()
    assert 1e-5 < difference <= 0.51 / 127 * np.abs(image).max() * np.abs(rounded).sum()


def test_ranges_that_are_too_narrow_clip(convolution: TFLiteStage) -> None:
    full = convolution.run(convolution.float32)
    name = convolutions(convolution.float32)[0].name
    low, high = convolution.ranges[name]
    assert high > 0.1
    narrow = {**convolution.ranges, name: (low, high / 2)}
    clipped = convolution.run(convolution.file(Precision.W8A8, narrow))
    step = (high - low) / 255
    assert full.max() > high - step
    assert clipped.max() <= high / 2 + step
    assert convolution.run(convolution.file(Precision.W8A8)).max() > high - 2 * step


def test_a_layer_that_is_always_zero_does_not_spoil_the_next(convert_network: Convert) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 1))
    torch.nn.init.constant_(network[0].bias, -100.0)  # pyright: ignore[reportArgumentType]
    torch.nn.init.constant_(network[2].bias, 0.75)  # pyright: ignore[reportArgumentType]
    dead = convert_network(network)
    np.testing.assert_allclose(dead.run(dead.file(Precision.W8A8)), 0.75, atol=0.01)


@pytest.mark.parametrize("least", [0.0, 1e-9])
def test_a_bias_beside_next_to_no_weights_is_kept(convert_network: Convert, least: float) -> None:
    # int32 holds a bias in units of input scale × weight scale: the quantizer cut this one to 7e-5.
    torch.manual_seed(14)
    first, last = torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Conv2d(4, 1, 1)
    assert first.bias is not None
    first.weight.data[2] = least
    first.bias.data[2] = 0.7
    exported = convert_network(torch.nn.Sequential(first, torch.nn.ReLU(), last))
    path = exported.file(Precision.W8A8)
    layers = folded_layers(exported.graph.network, exported.graph.example())
    assert [entry.problem for entry in compare_weights(layers, convolutions(path)) if entry.problem] == []
    np.testing.assert_allclose(exported.run(path), exported.run(exported.float32), atol=0.02)


@pytest.mark.parametrize("precision", EVERY)
def test_inputs_and_outputs_stay_float32(blur: TFLiteStage, precision: Precision) -> None:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(blur.file(precision))).get_signature_runner(blur.graph.stage.value)
    details = {**runner.get_input_details(), **runner.get_output_details()}
    assert set(details) == {"image", "defocus", "blurred"}
    assert {entry["dtype"] for entry in details.values()} == {np.float32}


@pytest.mark.parametrize("precision", EVERY)
def test_the_same_arguments_give_the_same_bytes(blur: TFLiteStage, precision: Precision) -> None:
    assert blur.file(precision).read_bytes() == blur.file(precision).read_bytes()


@pytest.mark.parametrize(
    ("precision", "most"),
    [
        (Precision.FP16, 0.73),  # a third of a small network's file are its operations
        (Precision.W8, 0.6),
        (Precision.DYNAMIC, 0.62),
        (Precision.W8A8, 0.66),
        (Precision.W4, 0.55),
    ],
)
def test_files_are_smaller_than_float32(blur: TFLiteStage, precision: Precision, most: float) -> None:
    assert blur.file(precision).stat().st_size < most * blur.float32.stat().st_size


@pytest.mark.parametrize(("precision", "least"), [*((each, 40.0) for each in INTEGER[:3]), (Precision.W4, 20.0)])
def test_the_lens_blur_survives_quantisation(blur: TFLiteStage, precision: Precision, least: float) -> None:
    layers = folded_layers(blur.graph.network, blur.graph.example())
    calls = convolution_calls(layers, convolutions(blur.float32))
    exact = {call for layer in blur.graph.exact for call in calls[layer]}
    kept = exact if precision.needs_ranges else frozenset()  # 8-bit activations may not be divided by one another
    reference, found = blur.run(blur.float32)[0], blur.run(blur.file(precision, kept=kept))[0]
    assert least < psnr(reference.transpose(1, 2, 0), found.transpose(1, 2, 0)) < 90


def test_kept_layers_are_floats_in_the_file_and_all_others_integers(blur: TFLiteStage) -> None:
    calls = [convolution.name for convolution in convolutions(blur.float32)]
    kept = frozenset(calls[3:6])
    path = blur.file(Precision.MIXED, kept=kept)
    stored = {convolution.name: convolution.stored for convolution in convolutions(path)}
    assert stored == {name: "fp16" if name in kept else "int8" for name in calls}
    file = TFLiteFile(path)
    for operation in file.operations:
        if operation.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            name = file.name(operation.outputs[0])
            elements = {file.element(operation.inputs[0]), file.element(operation.outputs[0])}
            assert elements == {"FLOAT32" if name in kept else "INT8"}, name


@pytest.mark.parametrize("precision", [Precision.W8, Precision.W4])
def test_depthwise_weights_are_integers_where_gpus_survive_it(
    blur: TFLiteStage, convert_network: Convert, precision: Precision
) -> None:
    # LiteRT's GPU accelerator crashes on a depthwise convolution of one channel to several with int8 weights.
    kinds = [each.kind for each in TFLiteFile(blur.float32).operations if each.kind in CONVOLUTIONS]
    stored = [each.stored for each in convolutions(blur.file(precision))]
    dense = "int4" if precision is Precision.W4 else "int8"
    assert stored == ["int8" if kind == "DEPTHWISE_CONV_2D" else dense for kind in kinds]
    assert "DEPTHWISE_CONV_2D" in kinds
    widening = torch.nn.Sequential(torch.nn.Conv2d(3, 12, 3, groups=3, padding=1), torch.nn.Conv2d(12, 1, 1))
    converted = convert_network(widening)
    assert "DEPTHWISE_CONV_2D" in operators(converted.float32)
    assert [each.stored for each in convolutions(converted.file(precision))] == ["fp16", dense]


def test_mixed_with_nothing_kept_is_w8a8(blur: TFLiteStage) -> None:
    assert blur.file(Precision.MIXED).read_bytes() == blur.file(Precision.W8A8).read_bytes()


def test_keeping_every_layer_leaves_the_precision_of_fp16(blur: TFLiteStage) -> None:
    names = frozenset(convolution.name for convolution in convolutions(blur.float32))
    path = blur.file(Precision.MIXED, kept=names)
    assert "QUANTIZE" not in operators(path)
    np.testing.assert_array_equal(blur.run(path), blur.run(blur.file(Precision.FP16)))


def test_only_convolutions_and_what_lies_between_them_compute_in_integers(blur: TFLiteStage) -> None:
    file = TFLiteFile(blur.file(Precision.W8A8))
    integer = {
        operation.kind
        for operation in file.operations
        if file.element(operation.outputs[0]) == "INT8" and operation.kind != "QUANTIZE"
    }
    assert integer == {"CONV_2D", "DEPTHWISE_CONV_2D", "PAD", "CONCATENATION"}
    # The blurred sums of the colours are joined too, but divided next: 256 levels would show in dark places.
    concatenations = [operation for operation in file.operations if operation.kind == "CONCATENATION"]
    assert file.element(concatenations[-1].outputs[0]) == "FLOAT32"


def test_an_unknown_layer_to_keep_is_one_line(blur: TFLiteStage) -> None:
    with pytest.raises(DofkitError, match=r"^fp32\.tflite has no layer 'nowhere' .*dofkit sensitivity") as error:
        blur.file(Precision.MIXED, kept={"nowhere"})
    assert "\n" not in str(error.value)


def test_ranges_of_another_file_are_one_line(blur: TFLiteStage, convolution: TFLiteStage) -> None:
    with pytest.raises(DofkitError, match=r"^fp32\.tflite: no range was measured for .*; calibrate on this very file$"):
        blur.file(Precision.W8A8, convolution.ranges)


@pytest.mark.parametrize("precision", [Precision.PALETTE4, Precision.FP32])
def test_a_precision_that_tflite_has_not_is_one_line(blur: TFLiteStage, precision: Precision, tmp_path: Path) -> None:
    del tmp_path
    with pytest.raises(DofkitError, match=f"cannot be quantised to {precision}; see"):
        blur.file(precision)

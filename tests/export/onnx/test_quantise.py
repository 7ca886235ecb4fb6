"""Quantised files compute what their integers say, leave in floats what they are told to, and stay float32 outside."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import correlate

from dofkit.export.onnx.file import operators
from dofkit.export.onnx.stored import convolutions
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.metrics import psnr
from dofkit.runtime_ref.target import Precision

from .conftest import Convert, OnnxStage

INTEGER = (Precision.W8, Precision.DYNAMIC, Precision.W8A8)
Floats = NDArray[np.float64]


def _on_levels(values: Floats, step: float, zero: float, least: int, most: int) -> Floats:
    """Values rounded to `(q − zero) · step` for integers q from `least` to `most`."""
    return (np.clip(np.round(values / step) + zero, least, most) - zero) * step


def _activations(values: Floats, low: float, high: float) -> tuple[Floats, float]:
    """Values on the 256 levels of a range that holds zero exactly, clipped to it; and the distance of two levels."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / 255
    return _on_levels(values, step, np.round(-low / step), 0, 255), step


def _weights(weight: Floats) -> Floats:
    """One channel's weights on 127 levels to either side of zero."""
    return _on_levels(weight, float(np.abs(weight).max()) / 127, 0, -127, 127)


def _convolved(image: Floats, weight: Floats, bias: float) -> Floats:
    """`[3, H, W]` with zeros around it, to `[H, W]`."""
    border = weight.shape[1] // 2
    padded = np.pad(image, ((0, 0), (border, border), (border, border)))
    return correlate(padded, weight, mode="valid")[0] + bias


def _single(exported: OnnxStage) -> tuple[Floats, Floats, float]:
    """The image, and PyTorch's weight and bias."""
    network = exported.graph.network
    assert isinstance(network, torch.nn.Conv2d)
    assert network.bias is not None
    weight = network.weight.detach().numpy().astype(np.float64)[0]
    return exported.inputs["image"][0].astype(np.float64), weight, network.bias.item()


def test_w8_rounds_the_weights_and_nothing_else(single: OnnxStage) -> None:
    image, weight, bias = _single(single)
    found = single.run(single.file(Precision.W8))[0, 0]
    np.testing.assert_allclose(found, _convolved(image, _weights(weight), bias), atol=2e-6)
    assert np.abs(found - _convolved(image, weight, bias)).max() > 1e-4


def test_w8a8_computes_with_weights_and_activations_on_their_levels(single: OnnxStage) -> None:
    image, weight, bias = _single(single)
    rounded, _ = _activations(image, *single.ranges["image"])
    exact = _convolved(rounded, _weights(weight), bias)
    expected, step = _activations(exact, *single.ranges["disparity"])
    difference = np.abs(single.run(single.file(Precision.W8A8))[0, 0] - expected)
    assert difference.max() < 1.01 * step  # what lies between two levels may go to either
    assert np.mean(difference > 0.5 * step) < 0.05


def test_dynamic_takes_the_range_that_the_activations_have_in_this_run(single: OnnxStage) -> None:
    image, weight, bias = _single(single)
    rounded, _ = _activations(image, float(image.min()), float(image.max()))
    found = single.run(single.file(Precision.DYNAMIC))[0, 0]
    np.testing.assert_allclose(found, _convolved(rounded, _weights(weight), bias), atol=2e-4)


def test_ranges_that_are_too_narrow_clip(single: OnnxStage) -> None:
    low, high = single.ranges["disparity"]
    step = (high - low) / 255
    narrow = {**single.ranges, "disparity": (low, high - 50 * step)}
    full, clipped = (single.run(single.file(Precision.W8A8, ranges)) for ranges in (None, narrow))
    assert full.max() > high - 2 * step
    assert clipped.max() <= high - 48 * step


def test_onnx_runtime_folds_the_weights_of_w8_when_it_loads_them(blur: OnnxStage) -> None:
    options = onnxruntime.SessionOptions()
    goal = blur.float32.with_name("optimised.onnx")
    options.optimized_model_filepath = str(goal)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(blur.file(Precision.W8)), options, providers=["CPUExecutionProvider"])
    assert "Cast" not in operators(goal)
    assert operators(goal).get("Mul", 0) <= operators(blur.float32)["Mul"]


def test_onnx_runtime_computes_every_convolution_of_w8a8_in_integers(blur: OnnxStage) -> None:
    options = onnxruntime.SessionOptions()
    goal = blur.float32.with_name("optimised.onnx")
    options.optimized_model_filepath = str(goal)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(blur.file(Precision.W8A8)), options, providers=["CPUExecutionProvider"])
    optimised = onnx.load(str(goal)).graph.node
    kinds = {node.op_type for node in optimised if "Conv" in node.op_type}
    assert kinds == {"QLinearConv"}
    assert sum(node.op_type == "QLinearConv" for node in optimised) == 18


def test_a_layer_that_is_always_zero_does_not_spoil_the_next(export_network: Convert) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 1))
    torch.nn.init.constant_(network[0].bias, -100.0)  # pyright: ignore[reportArgumentType]
    torch.nn.init.constant_(network[2].bias, 0.75)  # pyright: ignore[reportArgumentType]
    dead = export_network(network)
    np.testing.assert_allclose(dead.run(dead.file(Precision.W8A8)), 0.75, atol=0.01)


@pytest.mark.parametrize("precision", INTEGER)
def test_a_channel_of_zeros_stays_zero(export_network: Convert, precision: Precision) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 24, 3, padding=1), torch.nn.Conv2d(24, 1, 3, padding=1))
    torch.nn.init.zeros_(network[0].weight[5])  # pyright: ignore[reportIndexIssue, reportArgumentType]
    exported = export_network(network)
    path = exported.file(precision)
    assert not convolutions(path)[0].weight[5].any()
    assert np.isfinite(exported.run(path)).all()


@pytest.mark.parametrize("precision", INTEGER)
def test_inputs_and_outputs_stay_float32(blur: OnnxStage, precision: Precision) -> None:
    session = onnxruntime.InferenceSession(str(blur.file(precision)), providers=["CPUExecutionProvider"])
    values = [*session.get_inputs(), *session.get_outputs()]
    assert [value.name for value in values] == ["image", "defocus", "blurred"]
    assert {value.type for value in values} == {"tensor(float)"}


@pytest.mark.parametrize("precision", INTEGER)
def test_the_same_arguments_give_the_same_bytes(blur: OnnxStage, precision: Precision) -> None:
    assert blur.file(precision).read_bytes() == blur.file(precision).read_bytes()


@pytest.mark.parametrize(
    ("precision", "most"), [(Precision.W8, 0.5), (Precision.DYNAMIC, 0.52), (Precision.W8A8, 0.55)]
)
def test_files_are_smaller_than_float32(blur: OnnxStage, precision: Precision, most: float) -> None:
    assert blur.file(precision).stat().st_size < most * blur.float32.stat().st_size


@pytest.mark.parametrize("precision", INTEGER)
def test_the_lens_blur_survives_quantisation(blur: OnnxStage, precision: Precision) -> None:
    exact = blur.graph.exact  # as every export leaves them
    reference, found = blur.run(blur.float32)[0], blur.run(blur.file(precision, kept=exact))[0]
    assert 38 < psnr(reference.transpose(1, 2, 0), found.transpose(1, 2, 0)) < 90


@pytest.mark.parametrize("precision", [Precision.MIXED, Precision.DYNAMIC])
def test_kept_layers_compute_in_floats_and_all_others_in_integers(blur: OnnxStage, precision: Precision) -> None:
    kept = {"context.0", "context.2"}
    path = blur.file(precision, kept=kept)
    stored = {convolution.name: convolution.stored for convolution in convolutions(path)}
    assert stored == {name: "fp16" if name in kept else "int8" for name in stored}
    assert len(stored) == 18
    graph = onnx.load(str(path)).graph
    producers = {name: node for node in graph.node for name in node.output}
    kinds = [node.op_type for node in graph.node if node.op_type in ("Conv", "ConvInteger")]
    if precision is Precision.DYNAMIC:
        assert kinds.count("Conv") == len(kept)
        return
    before_relu = Counter(producers[node.input[0]].op_type for node in graph.node if node.op_type == "Relu")
    # Of the convolutions' ReLUs only those of the kept ones are left, the others are a range that starts at zero.
    assert before_relu["Conv"] == len(kept)
    assert before_relu["DequantizeLinear"] == 0


class _Shared(torch.nn.Module):
    """One layer that is called twice, and one that is called once."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.once = torch.nn.Conv2d(3, 3, 9, padding=4), torch.nn.Conv2d(3, 1, 5, padding=2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.once(torch.relu(self.twice(torch.relu(self.twice(image)))))


@pytest.mark.parametrize("precision", [Precision.MIXED, Precision.DYNAMIC])
def test_a_kept_layer_computes_in_floats_in_all_its_calls(export_network: Convert, precision: Precision) -> None:
    torch.manual_seed(23)
    exported = export_network(_Shared())
    path = exported.file(precision, kept={"twice"})
    stored = [(convolution.name, convolution.stored) for convolution in convolutions(path)]
    assert stored == [("twice", "fp16"), ("twice", "fp16"), ("once", "int8")]
    kinds = [node.op_type for node in onnx.load(str(path)).graph.node if node.op_type in ("Relu", "ConvInteger")]
    assert kinds == ["Relu", "Relu"] + ["ConvInteger"] * (precision is Precision.DYNAMIC)


def test_mixed_is_closer_to_float32_than_w8a8(blur: OnnxStage) -> None:
    reference = blur.run(blur.float32)
    names = {convolution.name for convolution in convolutions(blur.float32)}
    errors = [np.abs(blur.run(blur.file(Precision.MIXED, kept=kept)) - reference).mean() for kept in ((), names)]
    assert errors[1] < 0.1 * errors[0]


def test_mixed_with_nothing_kept_is_w8a8(blur: OnnxStage) -> None:
    assert blur.file(Precision.MIXED).read_bytes() == blur.file(Precision.W8A8).read_bytes()


@pytest.mark.parametrize("precision", INTEGER)
def test_convolutions_stay_in_the_order_of_the_float32_file(blur: OnnxStage, precision: Precision) -> None:
    expected = [convolution.name for convolution in convolutions(blur.float32)]
    assert [convolution.name for convolution in convolutions(blur.file(precision))] == expected


def test_an_unknown_layer_to_keep_is_one_line(blur: OnnxStage) -> None:
    with pytest.raises(DofkitError, match=r"^fp32\.onnx has no layer 'nowhere' .*dofkit sensitivity") as error:
        blur.file(Precision.MIXED, kept={"nowhere"})
    assert "\n" not in str(error.value)


def test_ranges_of_another_file_are_one_line(blur: OnnxStage, single: OnnxStage) -> None:
    with pytest.raises(DofkitError, match=r"^fp32\.onnx: no range of '.*' is known; calibrate with this very file$"):
        blur.file(Precision.W8A8, single.ranges)


@pytest.mark.parametrize("precision", [Precision.W4, Precision.PALETTE4])
def test_a_precision_that_onnx_has_not_is_one_line(blur: OnnxStage, precision: Precision) -> None:
    with pytest.raises(DofkitError, match=f"cannot be quantised to {precision}; see"):
        blur.file(precision)

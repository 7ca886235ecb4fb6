"""What is read back from a file is what the network's weights make of it, and one wrong number is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from dofkit.export.folded import folded_layers
from dofkit.export.onnx.file import operators
from dofkit.export.onnx.stored import constants, convolutions
from dofkit.export.stored import compare_weights
from dofkit.runtime_ref.bundle import LayerEntry
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.target import Precision

from .conftest import Convert, OnnxStage

STORED = {
    Precision.FP32: {"fp32"},
    Precision.FP16: {"fp16"},
    Precision.W8: {"int8", "fp32"},
    Precision.DYNAMIC: {"int8"},
    Precision.W8A8: {"int8"},
    Precision.MIXED: {"int8", "fp16"},
}
KEPT = ("context.2",)


def _file(blur: OnnxStage, precision: Precision) -> Path:
    return blur.file(precision, kept=KEPT if precision is Precision.MIXED else ())


def _compared(blur: OnnxStage, path: Path) -> tuple[LayerEntry, ...]:
    return compare_weights(folded_layers(blur.graph.network, blur.graph.example()), convolutions(path))


@pytest.mark.parametrize("precision", STORED)
def test_every_precision_stores_the_networks_weights_within_its_rounding(blur: OnnxStage, precision: Precision) -> None:
    entries = _compared(blur, _file(blur, precision))
    assert [entry.problem for entry in entries if entry.problem] == []
    assert {entry.stored for entry in entries} == STORED[precision]
    assert len(entries) == 18
    if precision is Precision.FP32:
        assert {entry.difference for entry in entries} == {0.0}


@pytest.mark.parametrize("precision", STORED)
def test_names_are_the_networks_own(blur: OnnxStage, precision: Precision) -> None:
    expected = [layer.name for layer in folded_layers(blur.graph.network, blur.graph.example())]
    assert [convolution.name for convolution in convolutions(_file(blur, precision))] == expected


@pytest.mark.parametrize("precision", STORED)
@pytest.mark.parametrize("layer", ["context.2.weight", "source.local.bias"])
def test_one_wrong_number_in_the_file_is_named(
    blur: OnnxStage, precision: Precision, layer: str, tmp_path: Path
) -> None:
    model = onnx.load(str(_file(blur, precision)))
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name in (layer, f"{layer}_quantized"))
    values = numpy_helper.to_array(tensor).copy()
    place = np.unravel_index(values.size // 2, values.shape)
    # Integers: by two levels, the least that rounding can never explain. Floats: in the third digit.
    values[place] += 2 if values.dtype.kind == "i" else values.dtype.type(0.01) * np.abs(values).max()
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    wrong = tmp_path / "wrong.onnx"
    onnx.save(model, str(wrong))
    problems = {entry.name: entry.problem for entry in _compared(blur, wrong) if entry.problem}
    name, _, part = layer.rpartition(".")
    assert list(problems) == [name]
    counted = "weights" if part == "weight" else "biases"
    assert f"1 of {values.size} {counted} differ, first {[int(index) for index in place]}: " in problems[name]


class _Sum(torch.nn.Module):
    """Two convolutions without biases, added up."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = torch.nn.Conv2d(3, 8, 1, bias=False), torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.mean = torch.nn.Conv2d(8, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.mean(self.one(image) + self.other(image))


@pytest.mark.parametrize("precision", STORED)
def test_another_layers_result_is_no_bias(precision: Precision, export_network: Convert) -> None:
    torch.manual_seed(5)
    exported = export_network(_Sum())
    stored = {convolution.name: convolution for convolution in convolutions(exported.file(precision))}
    assert {name: convolution.bias is None for name, convolution in stored.items()} == {
        "one": True, "other": True, "mean": False,
    }  # fmt: skip


def test_operators_are_counted(single: OnnxStage) -> None:
    assert operators(single.float32) == {"Conv": 1}
    assert operators(single.file(Precision.W8)) == {"Cast": 1, "Conv": 1, "Mul": 1}
    # The image, the weight, the bias and the result are restored; the image and the result are quantised.
    assert operators(single.file(Precision.W8A8)) == {"Conv": 1, "DequantizeLinear": 4, "QuantizeLinear": 2}


def test_what_is_no_onnx_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"version https://git-lfs")
    with pytest.raises(DofkitError, match=r"model\.onnx is no ONNX file; export the bundle again$"):
        convolutions(path)


@pytest.mark.parametrize("axis", [0, 1])
def test_scales_of_a_square_matrix_belong_to_the_axis_that_restores_it(axis: int, tmp_path: Path) -> None:
    stored, scales = np.arange(16, dtype=np.int8).reshape(4, 4), np.array([1, 2, 4, 8], np.float32)
    nodes = [
        onnx.helper.make_node("DequantizeLinear", ["w_quantized", "w_scale"], ["w"], axis=axis),
        onnx.helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in "xy")
    initial = [numpy_helper.from_array(stored, "w_quantized"), numpy_helper.from_array(scales, "w_scale")]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "square", [x], [y], initial))
    onnx.save(model, tmp_path / "square.onnx")
    found = next(each for each in constants(tmp_path / "square.onnx") if each.name == "w_quantized")
    np.testing.assert_array_equal(found.values, stored * (scales[None] if axis else scales[:, None]))

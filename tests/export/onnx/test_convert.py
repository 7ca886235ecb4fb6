"""Files in floats hold the network's weights, rounded once, and nothing of the machine that wrote them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from dofkit import __version__
from dofkit.export.folded import folded_layers
from dofkit.export.labels import Stamp
from dofkit.export.onnx.convert import convert, convert_half
from dofkit.export.onnx.file import OnnxFile, write_stamp
from dofkit.export.onnx.stored import convolutions
from dofkit.runtime_ref.target import Precision

from .conftest import Convert, OnnxStage

ONNX = (Precision.FP32, Precision.FP16, Precision.W8, Precision.DYNAMIC, Precision.W8A8, Precision.MIXED)


def _normalised() -> torch.nn.Module:
    """A convolution whose BatchNorm nearly cancels its biases: folded in float16, little of them would be left."""
    torch.manual_seed(1)
    convolution, norm = torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4)
    assert convolution.bias is not None
    norm.running_mean = convolution.bias.detach() * 100
    convolution.bias.data.mul_(99)
    return torch.nn.Sequential(convolution, norm, torch.nn.Conv2d(4, 1, 1))


def test_fp16_weights_are_the_folded_float32_weights_rounded_once(export_network: Convert) -> None:
    exported = export_network(_normalised())
    layers = folded_layers(exported.graph.network, exported.graph.example())
    for layer, stored in zip(layers, convolutions(exported.file(Precision.FP16)), strict=True):
        np.testing.assert_array_equal(stored.weight, layer.weight.astype(np.float16))
        assert stored.bias is not None
        np.testing.assert_array_equal(stored.bias, layer.bias.astype(np.float16))


@pytest.mark.e2e
def test_fp16_computes_convolutions_in_halves_between_floats(blur: OnnxStage) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load(str(blur.file(Precision.FP16))))
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    results = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
    assert {kinds[name] for name in results} == {onnx.TensorProto.FLOAT16}
    outside = {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    assert outside == {onnx.TensorProto.FLOAT}
    difference = np.abs(blur.run(blur.file(Precision.FP16)) - blur.run(blur.float32)).mean()
    assert 0 < difference < 0.001  # in noise a rounding may decide whether a pixel is mixed


@pytest.mark.e2e
@pytest.mark.parametrize("precision", ONNX)
def test_files_tell_nothing_of_the_machine(blur: OnnxStage, precision: Precision) -> None:
    content = blur.file(precision).read_bytes()
    for trace in (b"/home", b"/tmp", b"site-packages", b".py", b"pkg.torch"):
        assert trace not in content


@pytest.mark.e2e
def test_converting_again_gives_the_same_bytes(blur: OnnxStage) -> None:
    half = blur.file(Precision.FP16)
    again, half_again = blur.float32.with_name("again.onnx"), blur.float32.with_name("half again.onnx")
    convert(blur.graph, again)
    convert_half(blur.graph, again, half_again)
    assert again.read_bytes() == blur.float32.read_bytes()
    assert half_again.read_bytes() == half.read_bytes()


def test_a_file_says_who_made_it_and_whose_its_weights_are(blur: OnnxStage, tmp_path: Path) -> None:
    path = tmp_path / "stamped.onnx"
    path.write_bytes(blur.float32.read_bytes())
    write_stamp(path, Stamp("a line", "a team", "CC-BY-4.0", "", {"com.dofkit.precision": "fp32"}))
    model, before = OnnxFile(path).model, OnnxFile(blur.float32).model
    assert (model.producer_name, model.producer_version, model.domain) == ("dofkit", __version__, "com.dofkit")
    assert model.doc_string == "a line"
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "author": "a team", "license": "CC-BY-4.0", "com.dofkit.precision": "fp32",
    }  # fmt: skip
    assert model.graph == before.graph

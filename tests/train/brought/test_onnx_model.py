"""ONNX files as depth networks: what they take and give is found out or refused in a line, and the graph around them is
what PyTorch does around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F

from dofkit.export.onnx.convert import convert, convert_half
from dofkit.export.onnx.exporter import weights
from dofkit.export.onnx.quantise import quantise
from dofkit.export.onnx.stored import STORED
from dofkit.export.ranges import measure_ranges
from dofkit.export.refusals import refuse_onnx
from dofkit.export.stages import StageGraph
from dofkit.runtime_ref.backends.tracers import open_tracer
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.aspects import Size
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.brought.families import IMAGENET
from dofkit.train.brought.hub import ModelFacts
from dofkit.train.brought.kinds import DepthKind
from dofkit.train.brought.naming import DepthModelName
from dofkit.train.brought.networks import Brought
from dofkit.train.brought.opening import open_depth_model

from .onnx_files import LAST, LAYER, SIZE, written

FACTS = ModelFacts(kind=DepthKind.METRIC, preprocessing=IMAGENET)


def expected(image: NDArray[Any], inner: Size = SIZE) -> NDArray[Any]:
    """The disparity of the file's depth, by the definition: 1/d, its range spread over [0, 1]."""
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET.mean, IMAGENET.deviation))
    normalised = (torch.from_numpy(image) - mean) / deviation
    small = F.interpolate(normalised, inner, mode="bilinear") if normalised.shape[2:] != inner else normalised
    features = F.conv2d(small, torch.from_numpy(LAYER), stride=8).abs()
    depth = F.conv2d(features, torch.from_numpy(LAST)).abs() + 1
    inverse = 1 / F.interpolate(depth, image.shape[2:], mode="bilinear").double().numpy()
    return (inverse - inverse.min()) / np.ptp(inverse)


def image_of(size: Size) -> NDArray[Any]:
    return np.random.default_rng(5).random((1, 3, *size), np.float32)


def graph_of(brought: Brought, size: Size) -> StageGraph:
    return StageGraph(Stage.DEPTH, brought.network, size, onnx=brought.contract)


def computed(path: Path, image: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(onnxruntime.InferenceSession(str(path)).run(["disparity"], {"image": image})[0])


FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no channel": {"end": "Squeeze"},
    "channel last": {"end": "Transpose"},
    "channels last": {"shape": (1, *SIZE, 3), "channels_last": True},
    "opset 11": {"opset": 11},
    "opset 21": {"opset": 21},
    "any size": {"shape": ("batch", 3, "height", "width")},
    "fp16": {"element": TensorProto.FLOAT16},
    "tensors beside": {"beside": "weights.bin"},
}


# A file of any size computes the size itself, so that the second shows it.
CASES = [(form, size) for form in FORMS for size in (SIZE, (24, 32)) if (form, size) != ("any size", SIZE)]


@pytest.mark.parametrize(("form", "size"), CASES)
def test_the_graph_gives_the_disparity_of_the_files_depth(tmp_path: Path, form: str, size: Size) -> None:
    source = written(tmp_path / "theirs.onnx", **FORMS[form])
    brought = open_depth_model(str(source), ModelFacts(FACTS.kind, size, FACTS.preprocessing))
    image = image_of(size)
    wanted = expected(image, size if form == "any size" else SIZE)
    near = 5e-3 if form == "fp16" else 2e-5
    with torch.inference_mode():
        np.testing.assert_allclose(brought.network(torch.from_numpy(image)).numpy(), wanted, atol=near)
    graph, goal = graph_of(brought, size), tmp_path / "ours.onnx"
    convert(graph, goal)
    (tmp_path / "weights.bin").unlink(missing_ok=True)  # it holds its tensors itself
    np.testing.assert_allclose(computed(goal, image), wanted, atol=near)
    entries = STORED.compare(weights(graph), goal)
    assert [entry.name for entry in entries] == ["network.first", "network.last"]
    assert not [entry for entry in entries if entry.problem or entry.uncompared]


def test_disparities_are_spread_and_the_image_is_not_touched_where_nothing_was_said(tmp_path: Path) -> None:
    brought = open_depth_model(str(written(tmp_path / "theirs.onnx")), ModelFacts(kind=DepthKind.DISPARITY))
    image, goal = image_of(SIZE), tmp_path / "ours.onnx"
    convert(graph_of(brought, SIZE), goal)
    raw = onnxruntime.InferenceSession(str(tmp_path / "theirs.onnx")).run(None, {"image": image})[0]
    full = F.interpolate(torch.from_numpy(raw), SIZE, mode="bilinear").numpy()
    np.testing.assert_allclose(computed(goal, image), (full - full.min()) / np.ptp(full), atol=1e-5)


def test_a_changed_number_in_the_export_is_named(tmp_path: Path) -> None:
    brought = open_depth_model(str(written(tmp_path / "theirs.onnx")), FACTS)
    graph, goal = graph_of(brought, SIZE), tmp_path / "ours.onnx"
    convert(graph, goal)
    model = onnx.load(str(goal))
    (tensor,) = (each for each in model.graph.initializer if each.name == "network.first.weight")
    values = numpy_helper.to_array(tensor).copy()
    values[3, 1, 2, 2] += 0.01
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, str(goal))
    assert [entry.name for entry in STORED.compare(weights(graph), goal) if entry.problem] == ["network.first"]


def test_fp16_and_w8_are_made_of_the_file(tmp_path: Path) -> None:
    brought = open_depth_model(str(written(tmp_path / "theirs.onnx")), FACTS)
    graph, float32, goal, image = graph_of(brought, SIZE), tmp_path / "32.onnx", tmp_path / "ours.onnx", image_of(SIZE)
    convert(graph, float32)
    makers = {"fp16": lambda: convert_half(graph, float32, goal), "int8": lambda: quantise(float32, goal, Precision.W8)}
    for stored, make in makers.items():
        make()
        assert np.abs(computed(goal, image) - expected(image)).mean() < 0.02
        entries = STORED.compare(weights(graph), goal)
        assert not [entry for entry in entries if entry.problem or entry.uncompared]
        assert entries[0].stored == stored


def test_layers_of_a_file_whose_operations_have_no_names_are_quantised_with_their_activations(tmp_path: Path) -> None:
    path, whole, goal = written(tmp_path / "theirs.onnx"), tmp_path / "32.onnx", tmp_path / "w8a8.onnx"
    assert {node.name for node in onnx.load(path).graph.node} == {""}
    graph, image = graph_of(open_depth_model(str(path), FACTS), SIZE), image_of(SIZE)
    convert(graph, whole)
    ranges = measure_ranges(open_tracer(Stage.DEPTH, Target.ONNX, whole), [{"image": image}])
    quantise(whole, goal, Precision.W8A8, ranges)
    assert [entry.stored for entry in STORED.compare(weights(graph), goal)] == ["int8", "int8"]
    assert np.abs(computed(goal, image) - expected(image)).mean() < 0.05


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shape": (2, 3, *SIZE)}, r"takes image \[2, 3, 16, 24\], not one image"),
        ({"shape": (1, 4, *SIZE)}, "not one image"),
        ({"shape": (1, "c", "h", "w")}, "with the channels fixed"),
        ({"shape": (1, 3, "h", "w")}, "takes images of several sizes; say which with --depth-size HxW"),
        ({"element": TensorProto.DOUBLE}, r"no 32- or 16-bit floats|cannot be read"),
    ],
)  # fmt: skip
def test_an_input_that_is_no_image_is_refused(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    source = written(tmp_path / "theirs.onnx", **settings)
    with pytest.raises(DofkitError, match=words) as refusal:
        open_depth_model(str(source), FACTS)
    assert "\n" not in str(refusal.value)


def changed(source: Path, change: Any) -> Path:
    model = onnx.load(str(source))
    change(model)
    onnx.save(model, str(source))
    return source


def _other_domain(model: Any) -> None:
    model.graph.node[1].domain = "com.acme"
    model.opset_import.append(helper.make_opsetid("com.acme", 1))


def _two_outputs(model: Any) -> None:
    model.graph.output[0].name = "positive"
    model.graph.output.append(helper.make_tensor_value_info("signed", TensorProto.FLOAT, None))


def _two_inputs(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))


def _away(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value="../secret.bin")


def _missing(model: Any) -> None:
    _away(model)
    model.graph.initializer[0].external_data[0].value = "gone.bin"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_domain, "calls Conv of com.acme, which is no operator of ONNX's own"),
        (_two_outputs, "gives positive, signed; call the map predicted_depth"),
        (_two_inputs, "takes image, mask; save a graph of one image"),
        (_away, r"'\.\./secret\.bin', outside its folder"),
        (_missing, r"'gone\.bin', which is missing"),
        (lambda model: model.graph.ClearField("node"), "computes nothing"),
    ],
)
def test_what_cannot_be_taken_is_one_line(tmp_path: Path, change: Any, words: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(LAYER.nbytes))
    source = written(folder / "theirs.onnx")
    with pytest.raises(DofkitError, match=words) as refusal:
        open_depth_model(str(_without_check(source, change)), FACTS)
    assert "\n" not in str(refusal.value)


def _without_check(source: Path, change: Any) -> Path:
    model = onnx.load(str(source), load_external_data=False)
    change(model)
    source.write_bytes(model.SerializeToString())
    return source


def test_a_map_among_several_outputs_is_found_by_its_name(tmp_path: Path) -> None:
    def change(model: Any) -> None:
        model.graph.output.insert(0, helper.make_tensor_value_info("positive", TensorProto.FLOAT, None))

    source = _without_check(written(tmp_path / "theirs.onnx"), change)
    brought = open_depth_model(str(source), FACTS)
    image = image_of(SIZE)
    np.testing.assert_allclose(brought.network(torch.from_numpy(image)).numpy(), expected(image), atol=2e-5)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x08"])
def test_what_is_no_onnx_file_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "theirs.onnx").write_bytes(content)
    with pytest.raises(DofkitError, match="is no ONNX file"):
        open_depth_model(str(tmp_path / "theirs.onnx"), FACTS)


def test_half_a_file_is_no_file(tmp_path: Path) -> None:
    source = written(tmp_path / "theirs.onnx")
    source.write_bytes(source.read_bytes()[:3000])
    with pytest.raises(DofkitError, match="is no ONNX file, or a part of one"):
        open_depth_model(str(source), FACTS)


def test_what_it_gives_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="does not say what it gives; say it with --depth-kind"):
        DepthModelName(str(written(tmp_path / "theirs.onnx"))).open()


def test_other_targets_previews_and_a_second_quantisation_are_refused_with_the_way_out(tmp_path: Path) -> None:
    contract = open_depth_model(str(written(tmp_path / "theirs.onnx")), FACTS).contract
    refuse_onnx(contract, [Target.ONNX], [Precision.FP32, Precision.W8], preview=False)
    with pytest.raises(DofkitError, match=r"exported to ONNX only, .* for Core ML of it; give --target onnx, or bring"):
        refuse_onnx(contract, list(Target), [Precision.FP32], preview=False)
    with pytest.raises(DofkitError, match="leave --preview out"):
        refuse_onnx(contract, [Target.ONNX], [Precision.FP32], preview=True)
    half = open_depth_model(str(written(tmp_path / "half.onnx", element=TensorProto.FLOAT16)), FACTS).contract
    refuse_onnx(half, [Target.ONNX], [Precision.FP32], preview=False)
    with pytest.raises(DofkitError, match=r"stores float16 already, .* making w8 of; give --precision fp32"):
        refuse_onnx(half, [Target.ONNX], [Precision.W8], preview=False)

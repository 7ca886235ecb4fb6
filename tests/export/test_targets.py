"""Every target gets native operations, the names of the design, and its own layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from dofkit.runtime_ref.bundle import Bundle, ModelEntry
from dofkit.runtime_ref.mil import Element, MLProgram
from dofkit.runtime_ref.pipeline.stage import INPUTS, OUTPUTS, Stage
from dofkit.runtime_ref.target import Precision, Target

# What each target's phone runtimes have kernels for, as far as the three networks need it. An operation beyond these
# lists (GATHER_ND, a 5-D RESHAPE, a custom op) falls off the GPU or the Neural Engine.
NATIVE = {
    Target.COREML: {
        "abs", "add", "avg_pool", "cast", "clip", "concat", "conv", "minimum", "mul", "pad", "pixel_shuffle",
        "real_div", "reduce_max", "reduce_mean", "reduce_min", "reduce_sum", "relu", "relu6", "sigmoid",
        "slice_by_index", "split", "sqrt", "sub", "upsample_bilinear", "max_pool",
    },
    Target.TFLITE: {
        "ABS", "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "DIV",
        "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL", "NEG", "PAD", "REDUCE_MAX", "REDUCE_MIN",
        "RELU", "RELU6", "RESHAPE", "RESIZE_BILINEAR", "SLICE", "SQRT", "SUB", "SUM", "TRANSPOSE",
    },
    Target.ONNX: {
        "Abs", "Add", "AveragePool", "Cast", "Clip", "Concat", "Conv", "Div", "GlobalAveragePool", "Max", "MaxPool",
        "Min", "Mul", "Neg", "Pad", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Relu",
        "Reshape", "Resize", "Sigmoid", "Slice", "Sqrt", "Sub", "Transpose",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def models(bundle_path: Path) -> list[ModelEntry]:
    return list(Bundle.open(bundle_path).manifest.models)


def test_only_native_operations_are_exported(models: list[ModelEntry]) -> None:
    for model in models:
        foreign = set(model.operators) - NATIVE[model.target]
        assert not foreign, f"{model.path}: {foreign}"


@pytest.mark.parametrize(
    ("target", "name", "most"),
    [
        # Into blocks of pixels and back, and channel-last to planes and back. LiteRT's converter pads the photo, three
        # channels, with the channels first. Depth is turned back once, see `TurnedDepth`.
        (Target.TFLITE, "TRANSPOSE", {Stage.DEPTH: 3, Stage.LENS_BLUR: 32, Stage.GUIDED_UPSAMPLING: 24}),
        # ONNX Runtime's DepthToSpace takes three times as long as two that move one axis each.
        (Target.ONNX, "Transpose", {Stage.DEPTH: 0, Stage.LENS_BLUR: 0, Stage.GUIDED_UPSAMPLING: 2}),
    ],
)
def test_graphs_have_no_transposes_but_those_that_their_forms_need(
    models: list[ModelEntry], target: Target, name: str, most: dict[Stage, int]
) -> None:
    for model in models:
        if model.target is target:
            assert model.operators.get(name, 0) <= most[model.stage], model.path


def test_onnx_transposes_have_four_axes_at_most(models: list[ModelEntry], bundle_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    for model in models:
        if model.target is Target.ONNX:
            nodes = onnx.load(str(bundle_path / model.path)).graph.node
            orders = [attribute.ints for node in nodes if node.op_type == "Transpose" for attribute in node.attribute]
            assert all(len(order) <= 4 for order in orders), model.path


def test_names_and_shapes_are_the_designs(models: list[ModelEntry]) -> None:
    for model in models:
        assert [tensor.name for tensor in model.inputs] == [signal.name for signal in INPUTS[model.stage]]
        assert [tensor.name for tensor in model.outputs] == [OUTPUTS[model.stage].name]
        for tensor in (*model.inputs, *model.outputs):
            channels = tensor.shape[3] if tensor.layout == "NHWC" else tensor.shape[1]
            assert channels in (1, 3)


def test_onnx_files_declare_what_the_manifest_says(models: list[ModelEntry], bundle_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    for model in models:
        if model.target is Target.ONNX:
            graph = onnx.load(str(bundle_path / model.path)).graph
            declared = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in graph.input}
            assert declared == {tensor.name: tensor.shape for tensor in model.inputs}
            assert all(v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for v in (*graph.input, *graph.output))


def test_tflite_files_have_one_signature_named_after_the_stage(models: list[ModelEntry], bundle_path: Path) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    for model in models:
        if model.target is Target.TFLITE:
            signatures = interpreter.Interpreter(str(bundle_path / model.path)).get_signature_list()
            assert list(signatures) == [model.stage.value]
            assert sorted(signatures[model.stage.value]["inputs"]) == sorted(tensor.name for tensor in model.inputs)


def test_core_ml_packages_are_ios_17_programs_with_float32_tensors(models: list[ModelEntry], bundle_path: Path) -> None:
    for model in models:
        if model.target is Target.COREML:
            program = MLProgram.open(bundle_path / model.path)
            assert program.package.opset_version == 8
            assert {f.name: f.shape for f in program.inputs} == {tensor.name: tensor.shape for tensor in model.inputs}
            assert {f.element for f in (*program.inputs, *program.outputs)} == {Element.FLOAT32}


def test_core_ml_weights_are_proven_to_be_the_networks(models: list[ModelEntry]) -> None:
    for model in models:
        if model.target is Target.COREML:
            assert model.layers
            assert not model.weight_problems


def test_fp16_halves_the_weights(models: list[ModelEntry], bundle_path: Path) -> None:
    def size(model: ModelEntry) -> int:
        path = bundle_path / model.path
        return sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) if path.is_dir() else path.stat().st_size

    for target in NATIVE:
        depth = {m.precision: size(m) for m in models if (m.target, m.stage) == (target, Stage.DEPTH)}
        assert depth[Precision.FP16] < 0.6 * depth[Precision.FP32], target

"""Each rule finds the file that has its fault, names the operation, and passes over the file that has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dofkit.devices.lint import rules
from dofkit.devices.lint.finding import Problem, Rule
from dofkit.devices.lint.graph import Graph, Node, TensorFacts
from dofkit.devices.lint.mobile_checker import nnapi_problems
from dofkit.devices.lint.readers import onnx_graph, tflite_graph
from dofkit.devices.profile import Accelerator, DeviceUnit, Sourced
from dofkit.runtime_ref.target import Target

from .small_files import Tflite, onnx_file

SOURCE = "a test's word"
CPU, NNAPI, WEBGPU = (Accelerator(unit=unit) for unit in (DeviceUnit.CPU, DeviceUnit.NNAPI, DeviceUnit.WEBGPU))
FP16 = Sourced[str](value="fp16", source=SOURCE)
GPU = Accelerator(
    unit=DeviceUnit.GPU,
    arithmetic=FP16,
    channels=Sourced(value=4, source=SOURCE),
    texture=Sourced(value=1024, source=SOURCE),
)
ENGINE = Accelerator(unit=DeviceUnit.NEURAL_ENGINE, arithmetic=FP16, row_bytes=Sourced(value=64, source=SOURCE))


def conv(out: int, inputs: int, side: int = 3) -> np.ndarray:
    """Dense weights for TFLite, [outputs, height, width, inputs]."""
    return np.ones((out, side, side, inputs), np.float32)


def dense(path: Path, weights: np.ndarray, channels: int = 4, **options: int) -> Graph:
    """One convolution as an ONNX file, weights [outputs, inputs / groups, height, width]."""
    attributes = {"pads": [weights.shape[2] // 2] * 4, **options}
    nodes = [("Conv", ["image", "w"], "result", attributes)]
    return onnx_graph(onnx_file(path, nodes, {"w": weights}, (1, channels, 16, 16)))


def found(rule: Rule, graph: Graph, unit: Accelerator) -> list[Problem]:
    return list(rule.find(graph, unit))


def tflite(path: Path, made: Tflite) -> Graph:
    return tflite_graph(made.write(path / "model.tflite"))


def test_an_operation_that_the_gpu_does_not_take_is_named(tmp_path: Path) -> None:
    good = Tflite().add("CONV_2D", (1, 16, 16, 4), conv(4, 4)).add("RELU", (1, 16, 16, 4))
    assert found(rules.UnsupportedOperation(), tflite(tmp_path, good), GPU) == []
    bad = Tflite().add("CONV_2D", (1, 16, 16, 4), conv(4, 4)).add("TOPK_V2", (1, 16, 16, 2), name="Best_pick;1")
    graph = tflite(tmp_path, bad)
    (problem,) = found(rules.UnsupportedOperation(), graph, GPU)
    assert problem.node is not None
    assert (problem.node.kind, problem.node.name, problem.node.module) == ("TOPK_V2", "Best_pick;1", "pick")
    assert found(rules.UnsupportedOperation(), graph, NNAPI) == [], "NNAPI takes it"
    assert found(rules.UnsupportedOperation(), graph, CPU) == []


def program(kind: str, shape: tuple[int | None, ...] = (1, 4, 16, 16)) -> Graph:
    """A Core ML function of one operation."""
    node = Node(kind, "result", ("image",), ("result",))
    return Graph(Target.COREML, (node,), {"result": TensorFacts("result", shape, "float32")})


def test_an_operation_that_leaves_the_neural_engine_is_told() -> None:
    assert len(found(rules.LeavesNeuralEngine(), program("gather"), ENGINE)) == 1
    assert found(rules.LeavesNeuralEngine(), program("conv"), ENGINE) == []
    assert found(rules.LeavesNeuralEngine(), program("gather"), GPU) == []


def test_an_open_size_is_told(tmp_path: Path) -> None:
    nodes = [("Relu", ["image"], "result", {})]
    fixed = onnx_graph(onnx_file(tmp_path / "a.onnx", nodes))
    free = onnx_graph(onnx_file(tmp_path / "b.onnx", nodes, shape=(1, 4, "height", 16)))
    assert found(rules.OpenShape(), fixed, NNAPI) == []
    assert len(found(rules.OpenShape(), free, NNAPI)) == 1
    assert found(rules.OpenShape(), free, CPU) == []


def test_transposes_are_told_and_pairs_are_named(tmp_path: Path) -> None:
    there = ("Transpose", ["image"], "turned", {"perm": [0, 2, 3, 1]})
    back = ("Transpose", ["turned"], "result", {"perm": [0, 3, 1, 2]})
    graph = onnx_graph(onnx_file(tmp_path / "a.onnx", [there, back]))
    messages = [problem.message for problem in found(rules.LayoutChange(), graph, CPU)]
    assert messages == ["Transpose of 1×16×16×4", "two transposes in a row"]
    plain = onnx_graph(onnx_file(tmp_path / "b.onnx", [("Relu", ["image"], "result", {})]))
    assert found(rules.LayoutChange(), plain, CPU) == []


def test_five_axes_are_too_many_for_a_gpu_and_not_for_a_cpu() -> None:
    five = program("reshape", (1, 2, 2, 16, 16))
    assert len(found(rules.TooManyAxes(), five, ENGINE)) == 1
    assert found(rules.TooManyAxes(), five, CPU) == []
    assert found(rules.TooManyAxes(), program("reshape"), ENGINE) == []


def test_values_beyond_fp16_are_told_where_the_unit_computes_in_it() -> None:
    graph = program("square")
    for most, count in ((65504.0, 0), (65505.0, 1)):
        assert len(found(rules.Fp16Overflow(), replace(graph, ranges={"result": (-most, 0.0)}), ENGINE)) == count
    assert found(rules.Fp16Overflow(), replace(graph, ranges={"result": (0.0, 1e9)}), CPU) == []


@pytest.mark.parametrize(("channels", "count"), [(20, 0), (24, 1)])
def test_a_sum_of_too_many_terms_is_told(tmp_path: Path, channels: int, count: int) -> None:
    graph = dense(tmp_path / "a.onnx", np.ones((4, channels, 3, 3), np.float32), channels)
    assert len(found(rules.Fp16Accumulation(), graph, GPU)) == count, f"{9 * channels} terms"
    assert found(rules.Fp16Accumulation(), graph, CPU) == []


def test_the_loss_of_a_long_sum_is_of_the_size_that_the_rule_says() -> None:
    generator = np.random.default_rng(0)
    for terms in (194, 1000):
        values = generator.uniform(0, 1, (2000, terms)).astype(np.float16)
        total = np.zeros(len(values), np.float16)
        for term in values.T:
            total = total + term
        exact = values.astype(np.float64).sum(axis=1)
        lost = float(np.sqrt(np.mean(((total - exact) / exact) ** 2)))
        assert 0.3 < lost / (2.0**-11 * np.sqrt(terms / 3)) < 1.5


def test_a_texture_beyond_the_gpus_is_told(tmp_path: Path) -> None:
    small = Tflite((1, 512, 512, 8)).add("RELU", (1, 512, 512, 8))
    large = Tflite((1, 512, 512, 12)).add("RELU", (1, 512, 512, 12))
    assert found(rules.TextureLimit(), tflite(tmp_path, small), GPU) == []
    (problem,) = found(rules.TextureLimit(), tflite(tmp_path, large), GPU)
    assert "needs a texture of 1536, the GPU has 1024" in problem.message
    assert found(rules.TextureLimit(), tflite(tmp_path, large), Accelerator(unit=DeviceUnit.GPU)) == [], "none is known"


def test_channels_that_fill_no_block_are_told_with_what_they_waste(tmp_path: Path) -> None:
    odd = dense(tmp_path / "a.onnx", np.ones((16, 9, 3, 3), np.float32), 9)
    (problem,) = found(rules.OddChannels(), odd, GPU)
    assert problem.message == "9 channels are no multiple of 4: 25% of it is computed on zeros"
    even = dense(tmp_path / "b.onnx", np.ones((16, 12, 3, 3), np.float32), 12)
    assert found(rules.OddChannels(), even, GPU) == []
    assert found(rules.OddChannels(), odd, CPU) == []


def test_short_rows_are_told_on_the_neural_engine(tmp_path: Path) -> None:
    graph = dense(tmp_path / "a.onnx", np.ones((4, 4, 3, 3), np.float32))
    assert [one.message for one in found(rules.ShortRows(), graph, ENGINE)] == ["rows of 32 bytes are filled up to 64"]
    assert found(rules.ShortRows(), graph, CPU) == []
    nodes = [("Conv", ["image", "w"], "result", {})]
    wide = onnx_graph(onnx_file(tmp_path / "b.onnx", nodes, {"w": np.ones((4, 4, 1, 1), np.float32)}, (1, 4, 16, 32)))
    assert found(rules.ShortRows(), wide, ENGINE) == []


@pytest.mark.parametrize(("side", "count"), [(5, 0), (7, 1)])
def test_a_wide_depthwise_kernel_is_told_for_xnnpack(tmp_path: Path, side: int, count: int) -> None:
    kernel = np.ones((1, side, side, 4), np.float32)
    graph = tflite(tmp_path, Tflite().add("DEPTHWISE_CONV_2D", (1, 16, 16, 4), kernel))
    assert len(found(rules.WideDepthwise(), graph, CPU)) == count
    assert found(rules.WideDepthwise(), graph, GPU) == []


def test_a_depthwise_convolution_written_out_as_a_dense_one_is_told(tmp_path: Path) -> None:
    expanded = np.zeros((8, 8, 3, 3), np.float32)
    expanded[range(8), range(8)] = 1
    (problem,) = found(rules.ExpandedKernel(), dense(tmp_path / "a.onnx", expanded, 8), CPU)
    assert problem.message == "88% of its 8 × 8 pairs of channels are zero"
    full = dense(tmp_path / "b.onnx", np.ones((8, 8, 3, 3), np.float32), 8)
    assert found(rules.ExpandedKernel(), full, CPU) == []
    grouped = dense(tmp_path / "c.onnx", np.ones((8, 1, 3, 3), np.float32), 8, group=8)
    assert found(rules.ExpandedKernel(), grouped, CPU) == []


@pytest.mark.parametrize(("number", "count"), [(100, 0), (101, 1)])
def test_many_operations_are_told_for_units_that_are_told_each(tmp_path: Path, number: int, count: int) -> None:
    made = Tflite()
    for _ in range(number):
        made.add("ABS", (1, 16, 16, 4))
    graph = tflite(tmp_path, made)
    assert len(found(rules.ManyOperations(), graph, GPU)) == count
    assert found(rules.ManyOperations(), graph, CPU) == []


# What was computed wrongly, and rightly, by onnxruntime-web 1.30.0 (a sweep of single convolutions).
@pytest.mark.parametrize("inputs", [6, 9, 15, 21, 33])
def test_convolutions_that_webgpu_computes_wrongly_are_told(tmp_path: Path, inputs: int) -> None:
    graph = dense(tmp_path / "a.onnx", np.ones((16, inputs, 3, 3), np.float32), inputs)
    assert len(found(rules.WrongOnWebGpu(), graph, WEBGPU)) == 1
    assert found(rules.WrongOnWebGpu(), graph, CPU) == []


@pytest.mark.parametrize(
    ("inputs", "outputs", "side"), [(3, 16, 3), (8, 16, 3), (12, 16, 3), (25, 16, 3), (9, 19, 3), (9, 16, 1)]
)
def test_convolutions_that_webgpu_computes_rightly_are_not(
    tmp_path: Path, inputs: int, outputs: int, side: int
) -> None:
    graph = dense(tmp_path / "a.onnx", np.ones((outputs, inputs, side, side), np.float32), inputs)
    assert found(rules.WrongOnWebGpu(), graph, WEBGPU) == []


def test_onnx_runtimes_own_checker_is_asked(tmp_path: Path) -> None:
    good = onnx_file(tmp_path / "a.onnx", [("Relu", ["image"], "result", {})])
    assert list(nnapi_problems(good)) == []
    bad = onnx_file(
        tmp_path / "b.onnx", [("Relu", ["image"], "a", {}), ("Erf", ["a"], "b", {}), ("Relu", ["b"], "c", {})]
    )
    (problem,) = nnapi_problems(bad)
    assert "2 of 3 operations in 2 partitions" in problem.message
    assert "ai.onnx:Erf" in problem.message


def test_no_two_rules_have_one_name_and_each_says_what_to_do() -> None:
    assert len({rule.id for rule in rules.RULES}) == len(rules.RULES)
    assert all(rule.rewrite and rule.id == rule.id.lower() for rule in rules.RULES)


@pytest.mark.parametrize("read", [onnx_graph, tflite_graph])
def test_what_is_no_model_is_refused(tmp_path: Path, read: Callable[[Path], Graph]) -> None:
    from dofkit.runtime_ref.errors import DofkitError

    (tmp_path / "x").write_bytes(b"nothing of that kind")
    with pytest.raises(DofkitError, match="export the bundle again"):
        read(tmp_path / "x")

"""The stage of focal stacks in an export: sizes, what is refused, and the stacks that its golden vectors hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from dofkit.cli import main
from dofkit.export.coreml.options import CoreMLOptions
from dofkit.export.focal import FAR, NEAR, GoldenStack, golden_sweep, refuse_unoffered
from dofkit.export.stages import StackSize, graph_size, stage_graphs
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import DEPTHS, PIPELINE_STAGES, Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.networks.focal_graph import CONTRACT
from dofkit.train.session import default_plan
from dofkit.train.weights import load_weights

STACK = StackSize(3, (64, 96))
Array = NDArray[np.floating[Any]]


class Echo:
    """Gives the first slice back, with a flat map."""

    runtime = "echo"

    def run(self, inputs: Mapping[str, Array]) -> Array:
        return np.concatenate([inputs["stack"][:1], np.zeros((1, 1, *STACK.size), np.float32)], 1)


def test_a_golden_stack_shows_each_thing_sharpest_in_the_slice_focused_nearest_to_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (128, 192, 3)).astype(np.uint8)
    disparity = np.zeros((16, 24), np.float32)
    disparity[:, :12] = (1 / 1.0 - 1 / FAR) / (1 / NEAR - 1 / FAR)  # a metre away on the left, far on the right
    inputs, output = GoldenStack(Echo(), STACK)(pixels, disparity)[Stage.FOCAL_DEPTH]
    assert inputs["stack"].shape == (3, 3, 64, 96)
    assert inputs["stack"].dtype == np.float32
    assert np.array_equal(output[0, :3], inputs["stack"][0])
    assert np.array_equal(inputs["radius"][:, :, 0, 0], golden_sweep(STACK).radius(DEPTHS).numpy())
    left, right = inputs["stack"][:, :, :, 8:40].std((1, 2, 3)), inputs["stack"][:, :, :, 56:88].std((1, 2, 3))
    assert int(left.argmax()) == 0
    assert int(right.argmax()) == 2


def test_the_graph_has_the_stacks_own_shapes_and_an_export_without_a_word_has_none() -> None:
    network = load_weights(Stage.FOCAL_DEPTH)
    (graph,) = stage_graphs({Stage.FOCAL_DEPTH: network}, default_plan(), Target.ONNX, stack=STACK).values()
    shapes = [graph.entry(signal, Target.TFLITE).shape for signal in (*graph.inputs, graph.output)]
    assert shapes == [(3, 64, 96, 3), (3, 1, 1, DEPTHS), (1, 64, 96, 4)]
    assert [tuple(one.shape) for one in graph.example()] == [(3, 3, 64, 96), (3, DEPTHS, 1, 1)]
    assert Stage.FOCAL_DEPTH not in PIPELINE_STAGES


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        (StackSize(11), "--slices 11: focal_depth takes 2 to 10"),
        (StackSize(5, (240, 330)), "--stack-size 240x330: focal_depth: 330 is no multiple of 16; take 320 or 336"),
    ],
)
def test_a_stack_that_the_network_does_not_take_is_refused(stack: StackSize, said: str) -> None:
    with pytest.raises(DofkitError, match=said):
        graph_size(CONTRACT, default_plan(), Target.ONNX, stack)


def test_what_was_not_measured_is_not_offered() -> None:
    refuse_unoffered((Precision.FP32, Precision.FP16, Precision.W8), CoreMLOptions())
    with pytest.raises(DofkitError, match="--precision w8a8: focal_depth is exported in fp32, fp16, w8"):
        refuse_unoffered((Precision.W8A8,), CoreMLOptions())
    with pytest.raises(DofkitError, match="which no camera buffer holds"):
        refuse_unoffered((Precision.FP16,), CoreMLOptions(image_inputs=True))


def test_options_of_the_stack_belong_to_its_stage() -> None:
    refused = CliRunner().invoke(main, ["export", "--target", "onnx", "--slices", "4"])
    assert refused.exit_code == 2
    assert "--slices is of the graph of focal stacks; add --stage focal_depth" in refused.stderr.replace("\n", " ")

"""ONNX files of a small depth network, in the forms that people bring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = (16, 24)
LAYER = np.random.default_rng(2).normal(size=(32, 3, 8, 8)).astype(np.float32)
LAST = np.random.default_rng(3).normal(size=(1, 32, 1, 1)).astype(np.float32)


def written(
    goal: Path,
    shape: Sequence[int | str | None] = (1, 3, *SIZE),
    element: int = TensorProto.FLOAT,
    opset: int = 18,
    end: str = "",
    channels_last: bool = False,
    beside: Path | None = None,
) -> Path:
    """A file of two convolutions that gives positive depths at an eighth of the size.

    Args:
        goal: of the file.
        shape, element: of the input.
        opset: of the operators.
        end: "Squeeze" leaves the channel out; "Transpose" puts it last.
        channels_last: the input is [1, H, W, 3].
        beside: where the tensors lie, relative to the file.
    """
    half = element == TensorProto.FLOAT16
    numbers = {
        name: values.astype(np.float16 if half else np.float32)
        for name, values in (("first.weight", LAYER), ("last.weight", LAST))
    }
    one = np.ones(1, numbers["last.weight"].dtype)
    nodes = [
        helper.make_node("Conv", ["nchw", "first.weight"], ["features"], strides=[8, 8]),
        helper.make_node("Abs", ["features"], ["positive"]),
        helper.make_node("Conv", ["positive", "last.weight"], ["signed"]),
        helper.make_node("Abs", ["signed"], ["unsigned"]),
        helper.make_node("Constant", [], ["one"], value=numpy_helper.from_array(one)),
        helper.make_node("Add", ["unsigned", "one"], ["map"]),
    ]  # fmt: skip
    turned = helper.make_node("Transpose", ["image"], ["nchw"], perm=[0, 3, 1, 2])
    nodes.insert(0, turned if channels_last else helper.make_node("Identity", ["image"], ["nchw"]))
    if end == "Squeeze":
        nodes.append(helper.make_node("Constant", [], ["axes"], value=numpy_helper.from_array(np.array([1]))))
        nodes.append(helper.make_node("Squeeze", ["map", "axes"], ["disparity"]))
    elif end == "Transpose":
        nodes.append(helper.make_node("Transpose", ["map"], ["disparity"], perm=[0, 2, 3, 1]))
    else:
        nodes.append(helper.make_node("Identity", ["map"], ["disparity"]))
    graph = helper.make_graph(
        nodes, "depth",
        [helper.make_tensor_value_info("image", element, shape)],
        [helper.make_tensor_value_info("disparity", element, None)],
        [numpy_helper.from_array(values, name) for name, values in numbers.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if beside is None:
        onnx.save(model, str(goal))
    else:
        onnx.save(model, str(goal), save_as_external_data=True, location=str(beside), size_threshold=0)
    return goal

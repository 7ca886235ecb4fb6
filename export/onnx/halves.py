"""The graph of a brought ONNX file in 16-bit floats."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...runtime_ref.errors import DofkitError, require

_GREATEST = 65504.0
"""Of 16-bit floats: masks of attention hold the least 32-bit number instead of minus infinity."""
_PURPOSE = "writing an ONNX file in fp16"


def to_halves(model: Any, name: str) -> None:
    """Compute a model in 16-bit floats: stored numbers, casts and filled tensors, in place. Its input and output become
    16-bit floats, too.

    Raises:
        DofkitError: it computes in graphs inside nodes, or in other floats besides.
    """
    onnx = require("onnx", "onnx", _PURPOSE)
    single, half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
    # Resize takes its factors and its region of interest in 32 bits, whatever it resizes.
    exact = {each for node in model.graph.node if node.op_type == "Resize" for each in node.input[1:3]}
    for tensor in model.graph.initializer:
        if tensor.name not in exact:
            _round(onnx, tensor)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise DofkitError(
                    f"{name}: {node.op_type} holds a graph, which is not made fp16; give --precision fp32"
                )
            if attribute.HasField("t"):
                _round(onnx, attribute.t)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == single:
                attribute.i = half
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type == single:
            value.type.tensor_type.elem_type = half
    del model.graph.value_info[:]


def _round(onnx: Any, tensor: Any) -> None:
    """Store a tensor of 32-bit floats in 16 bits."""
    if tensor.data_type == onnx.TensorProto.FLOAT:
        values = np.clip(onnx.numpy_helper.to_array(tensor), -_GREATEST, _GREATEST)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), tensor.name))

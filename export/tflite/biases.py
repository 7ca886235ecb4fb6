"""Biases of integer convolutions that overflow: AI Edge Quantizer gives them no other scale.

A bias is stored in int32 in units of input scale × weight scale. Where a channel's weights are zero or very small, so
is that unit; the quantizer then cuts the bias to what int32 holds. Such a channel gets a greater weight scale here: its
weights become coarser, but they were next to nothing beside the bias.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.errors import require
from ...runtime_ref.tflite_file import TFLiteFile
from .stored import CONVOLUTIONS, DENSE

Array = NDArray[Any]

_WEIGHTED = (*CONVOLUTIONS, DENSE)

_MOST = 2**30
"""Greatest bias in its unit: half of int32, the rest is for the sum of the products."""


def with_fitting_biases(float32: TFLiteFile, quantised: bytes | bytearray) -> bytearray:
    """A quantised file's bytes, every bias of an integer convolution within int32; most files stay as they are.

    Args:
        float32: the file that was quantised.
        quantised: what the quantizer wrote, with the same convolutions in the same order.
    """
    content = _Content(bytearray(quantised))
    exact = [operation for operation in float32.operations if operation.kind in _WEIGHTED]
    for operation, inputs in zip(exact, content.convolutions(), strict=True):
        if len(inputs) < 3 or inputs[2] < 0 or content.element(inputs[2]) != np.int32:
            continue
        weight, bias = (float32.constant(tensor) for tensor in operation.inputs[1:3])
        assert weight is not None
        assert bias is not None
        _fit(content, inputs, weight, bias)
    return content.bytes


def _fit(content: _Content, inputs: list[int], weight: Array, bias: Array) -> None:
    """Give the channels whose bias overflows another scale, in place."""
    unit = content.scales(inputs[0])[0].astype(np.float64)
    scales, least = content.scales(inputs[1]), np.abs(bias) / (unit * _MOST)
    axis = content.channel_axis(inputs[1])
    integers, exact = np.moveaxis(content.values(inputs[1]), axis, 0), np.moveaxis(weight, axis, 0)
    for channel in np.flatnonzero(least > scales):
        scales[channel] = least[channel]
        integers[channel] = np.rint(exact[channel] / least[channel])
        content.scales(inputs[2])[channel] = unit * least[channel]
        content.values(inputs[2])[channel] = np.rint(bias[channel] / (unit * least[channel]))


class _Content:
    """A file's bytes, its arrays as views that write into them."""

    def __init__(self, content: bytearray) -> None:
        schema = require("ai_edge_litert.schema_py_generated", "tflite", "writing a TFLite file")
        self.bytes = content
        self._model = schema.Model.GetRootAs(content, 0)
        self._graph = self._model.Subgraphs(0)
        self._kinds = {getattr(schema.BuiltinOperator, kind) for kind in _WEIGHTED}
        self._elements = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}

    def convolutions(self) -> list[list[int]]:
        """Tensors that the convolutions take: input, weight, bias (-1: none)."""
        operations = (self._graph.Operators(i) for i in range(self._graph.OperatorsLength()))
        return [
            [int(tensor) for tensor in operation.InputsAsNumpy()]
            for operation in operations
            if self._model.OperatorCodes(operation.OpcodeIndex()).BuiltinCode() in self._kinds
        ]

    def element(self, tensor: int) -> type[np.integer[Any]] | None:
        """Type of a tensor's numbers; None for those that no integer convolution stores."""
        return self._elements.get(self._graph.Tensors(tensor).Type())

    def scales(self, tensor: int) -> Array:
        """A tensor's scales, `[channels]` or `[1]`."""
        return self._graph.Tensors(tensor).Quantization().ScaleAsNumpy()

    def channel_axis(self, tensor: int) -> int:
        """The axis that a tensor's scales go along."""
        return self._graph.Tensors(tensor).Quantization().QuantizedDimension()

    def values(self, tensor: int) -> Array:
        """A stored tensor's numbers, in its shape."""
        found = self._graph.Tensors(tensor)
        buffer = self._model.Buffers(found.Buffer())
        if buffer.Offset() > 1:  # a large file's weights lie behind the flatbuffer
            stored = np.frombuffer(self.bytes, np.uint8, buffer.Size(), buffer.Offset())
        else:
            stored = buffer.DataAsNumpy()
        return stored.view(self.element(tensor)).reshape(found.ShapeAsNumpy())

"""Exported files of a few operations, with a fault or without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
from onnx import helper, numpy_helper

schema: Any = import_module("ai_edge_litert.schema_py_generated")  # its annotations are not those that it packs


def onnx_file(
    path: Path,
    nodes: Sequence[tuple[str, Sequence[str], str, Mapping[str, Any]]],
    stored: Mapping[str, np.ndarray] | None = None,
    shape: Sequence[int | str] = (1, 4, 16, 16),
) -> Path:
    """An ONNX file from `image` on.

    Args:
        nodes: kind, inputs, output, attributes; the last output is the file's.
        stored: weights by name.
        shape: of the image; a word leaves a size open.
    """
    made = [helper.make_node(kind, list(inputs), [out], name=out, **options) for kind, inputs, out, options in nodes]
    image = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, list(shape))
    result = helper.make_tensor_value_info(nodes[-1][2], onnx.TensorProto.FLOAT, None)
    weights = [numpy_helper.from_array(values, name) for name, values in (stored or {}).items()]
    graph = helper.make_graph(made, "small", [image], [result], weights)
    # of an older format than the newest: runtimes of phones and pages lag behind
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


@dataclass
class Tflite:
    """A TFLite file that grows operation by operation, each on the last result."""

    shape: tuple[int, ...] = (1, 16, 16, 4)
    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.buffers.append(schema.BufferT())
        self.last = self._tensor("image", self.shape)

    def _tensor(self, name: str, shape: Sequence[int], values: np.ndarray | None = None) -> int:
        tensor, buffer = schema.TensorT(), 0
        if values is not None:
            stored = schema.BufferT()
            stored.data = np.frombuffer(values.tobytes(), np.uint8)
            self.buffers.append(stored)
            buffer = len(self.buffers) - 1
        tensor.name, tensor.shape, tensor.buffer = name.encode(), np.array(shape, np.int32), buffer
        integer = values is not None and values.dtype == np.int32
        tensor.type = schema.TensorType.INT32 if integer else schema.TensorType.FLOAT32
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add(self, kind: str, shape: Sequence[int], *stored: np.ndarray, name: str = "") -> Tflite:
        """An operation of the last result and stored tensors."""
        operator, number = schema.OperatorT(), len(self.operators)
        constants = [self._tensor(f"w{number}.{n}", values.shape, values) for n, values in enumerate(stored)]
        result = self._tensor(name or f"t{number}", shape)
        operator.inputs = np.array([self.last, *constants], np.int32)
        operator.outputs, operator.opcodeIndex = np.array([result], np.int32), number
        self.kinds.append(getattr(schema.BuiltinOperator, kind))
        self.operators.append(operator)
        self.last = result
        return self

    def write(self, path: Path, signature: tuple[str, str, str] | None = None) -> Path:
        """The file; with a signature of (its name, the input's, the output's)."""
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = np.array([0], np.int32), np.array([self.last], np.int32)
        model.version, model.subgraphs, model.buffers = 3, [graph], self.buffers
        model.operatorCodes = [_code(kind) for kind in self.kinds]
        if signature is not None:
            model.signatureDefs = [self._signature(*signature)]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path

    def _signature(self, name: str, given: str, result: str) -> Any:
        made = schema.SignatureDefT()
        made.signatureKey = name.encode()
        made.inputs, made.outputs = [_mapped(given, 0)], [_mapped(result, self.last)]
        return made


def _mapped(name: str, tensor: int) -> Any:
    mapped = schema.TensorMapT()
    mapped.name, mapped.tensorIndex = name.encode(), tensor
    return mapped


def _code(kind: int) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode = kind, min(kind, 127)
    return code

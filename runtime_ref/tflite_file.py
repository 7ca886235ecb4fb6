"""A TFLite file's operations, tensors and constants, as they lie in the file; nothing is computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DofkitError, require

Array = NDArray[Any]


@dataclass(frozen=True)
class TfliteOperation:
    """One operation of the graph.

    Attributes:
        kind: "CONV_2D", "PAD" …
        inputs, outputs: indices of tensors; -1 stands for an input that is left out.
        options: what else it is told ("strideH", "depthMultiplier"), as the schema calls it.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, eq=False)
class Quantisation:
    """What integers stand for: `scale · (integer − zero_point)`, along one axis.

    Attributes:
        scale, zero_point: `[channels]`, or `[1]` for the whole tensor.
        axis: of the channels.
    """

    scale: Array
    zero_point: Array
    axis: int


class TFLiteFile:
    """A file with one graph, as every stage is written."""

    def __init__(self, path: Path) -> None:
        """Read a file.

        Raises:
            DofkitError: it is no TFLite file, or has several graphs.
        """
        schema = require("ai_edge_litert.schema_py_generated", "tflite", "reading a TFLite file")
        self.path = path
        self._bytes = path.read_bytes()
        if self._bytes[4:8] != b"TFL3":
            raise DofkitError(f"{path} is no TFLite file; export the bundle again")
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(self._bytes), 0))
        if len(model.subgraphs) != 1:
            raise DofkitError(f"{path} has {len(model.subgraphs)} graphs, but a stage's file has one; export it again")
        self._types = _names(schema.TensorType)
        self._buffers = model.buffers
        self._tensors = model.subgraphs[0].tensors
        self.outputs = tuple(int(index) for index in model.subgraphs[0].outputs)
        self.input_names = {
            binding.name.decode(): self.name(binding.tensorIndex)
            for signature in model.signatureDefs or ()
            for binding in signature.inputs
        }
        kinds = _names(schema.BuiltinOperator)
        codes = [kinds[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
        self.operations = tuple(
            TfliteOperation(
                codes[each.opcodeIndex],
                tuple(map(int, each.inputs)),
                tuple(map(int, each.outputs)),
                vars(each.builtinOptions) if each.builtinOptions is not None else {},
            )
            for each in model.subgraphs[0].operators
        )

    @property
    def tensors(self) -> int:
        """How many tensors the graph has, stored and computed ones."""
        return len(self._tensors)

    def constant_size(self, tensor: int) -> int:
        """Bytes that a tensor stores; 0 for what is computed."""
        buffer = self._buffers[self._tensors[tensor].buffer]
        return len(buffer.data) if buffer.data is not None else buffer.size if buffer.offset > 1 else 0

    def name(self, tensor: int) -> str:
        """A tensor's name."""
        return self._tensors[tensor].name.decode()

    def shape(self, tensor: int) -> tuple[int, ...]:
        """A tensor's shape; `()` of a single number."""
        shape = self._tensors[tensor].shape
        return () if shape is None else tuple(map(int, shape))

    def element(self, tensor: int) -> str:
        """The type of a tensor's numbers: "FLOAT32", "INT8" …"""
        return self._types[self._tensors[tensor].type]

    def quantisation(self, tensor: int) -> Quantisation | None:
        """What a tensor's integers stand for; None for floats and plain integers."""
        found = self._tensors[tensor].quantization
        if found is None or found.scale is None or not len(found.scale):
            return None
        scale = np.asarray(found.scale, np.float64)
        return Quantisation(scale, np.asarray(found.zeroPoint, np.int64), int(found.quantizedDimension))

    def constant(self, tensor: int) -> Array | None:
        """The stored numbers of a constant, in its shape; None for what is computed."""
        buffer = self._buffers[self._tensors[tensor].buffer]
        if buffer.data is not None:
            content = bytes(buffer.data)
        elif buffer.offset > 1:  # a large file's weights lie behind the flatbuffer
            content = self._bytes[buffer.offset : buffer.offset + buffer.size]
        else:
            return None
        return _numbers(content, self.element(tensor), self.shape(tensor))


def operators(path: Path) -> dict[str, int]:
    """A file's operations and how often each stands in it."""
    return dict(sorted(Counter(operation.kind for operation in TFLiteFile(path).operations).items()))


def _numbers(content: bytes, element: str, shape: tuple[int, ...]) -> Array:
    if element == "INT4":  # two in a byte, the first in the low half; an odd count leaves the last half unused
        halves = np.frombuffer(content, np.uint8)[:, None] >> np.array([0, 4], np.uint8)
        signed = ((halves & 15) ^ 8).astype(np.int8) - 8
        return signed.reshape(-1)[: np.prod(shape, dtype=int)].reshape(shape)
    return np.frombuffer(content, np.dtype(element.lower()).newbyteorder("<")).reshape(shape)


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if not name.startswith("_")}

"""Core ML packages put together from protobuf messages in milliseconds, without coremltools' converter.

For tests of what is around the evaluator: its commands, its messages, damaged files. Operations themselves are tested
with packages that coremltools wrote (`runtime_ref/mil`).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dofkit.runtime_ref.mil.elements import Element
from dofkit.runtime_ref.mil.proto import feature_proto, mil_proto, model_proto

Shape = Sequence[int]
_MODEL = "Data/com.apple.CoreML/model.mlmodel"
_WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
_BLOB_TYPES = {np.dtype(np.float16): 1, np.dtype(np.float32): 2}
_ELEMENTS = {
    np.dtype(np.float16): Element.FLOAT16,
    np.dtype(np.float32): Element.FLOAT32,
    np.dtype(np.int32): Element.INT32,
    np.dtype(np.bool_): Element.BOOL,
}


class PackageWriter:
    """A program of one function, operation by operation; `save` writes it as an `.mlpackage`.

    Attributes:
        spec: the `Model` message, for what has no method here.
    """

    def __init__(self) -> None:
        self.spec: Any = model_proto().Model()
        self.spec.specificationVersion = 8
        program = self.spec.mlProgram
        program.version = 1
        self._function: Any = program.functions["main"]
        self._function.opset = "CoreML7"
        self._block: Any = self._function.block_specializations["CoreML7"]
        self._blobs = bytearray(struct.pack("<II56x", 0, 2))

    def input(self, name: str, shape: Shape, element: Element = Element.FLOAT32) -> Any:
        """Declare an input; returns its `ArrayFeatureType`, for flexible shapes."""
        named = self._function.inputs.add(name=name)
        _declare(named.type, shape, element)
        return _feature(self.spec.description.input, name, shape, element)

    def constant(self, name: str, value: np.ndarray | str) -> None:
        """A constant; floats of rank 1 and more lie in the weight file."""
        operation = self._block.operations.add(type="const")
        held = operation.attributes["val"]
        output = operation.outputs.add(name=name)
        if isinstance(value, str):
            for declared in (held.type, output.type):
                _declare(declared, (), Element.STRING)
            held.immediateValue.tensor.strings.values.append(value)
            return
        for declared in (held.type, output.type):
            _declare(declared, value.shape, _ELEMENTS[value.dtype])
        if value.dtype in _BLOB_TYPES and value.ndim:
            held.blobFileValue.fileName = "@model_path/weights/weight.bin"
            held.blobFileValue.offset = self._blob(value)
        elif value.dtype == np.float16:
            held.immediateValue.tensor.bytes.values = value.tobytes()
        else:
            kinds = {"f": "floats", "i": "ints", "b": "bools"}
            getattr(held.immediateValue.tensor, kinds[value.dtype.kind]).values.extend(value.ravel().tolist())

    def add(self, kind: str, name: str, shape: Shape, element: Element = Element.FLOAT32, **inputs: str) -> None:
        """An operation and its output; `inputs` binds its parameters to names."""
        operation = self._block.operations.add(type=kind)
        _declare(operation.outputs.add(name=name).type, shape, element)
        for parameter, value in inputs.items():
            operation.inputs[parameter].arguments.add(name=value)

    def output(self, name: str, shape: Shape, element: Element = Element.FLOAT32) -> None:
        """Declare an output that an operation gives."""
        self._block.outputs.append(name)
        _feature(self.spec.description.output, name, shape, element)

    def save(self, path: Path) -> Path:
        """Write the package; returns its path."""
        listing = {
            "fileFormatVersion": "1.0.0",
            "itemInfoEntries": {"model": {"path": "com.apple.CoreML/model.mlmodel", "name": "model.mlmodel"}},
            "rootModelIdentifier": "model",
        }
        files: Mapping[str, bytes] = {
            "Manifest.json": json.dumps(listing).encode(),
            _MODEL: self.spec.SerializeToString(deterministic=True),
            _WEIGHTS: bytes(self._blobs),
        }
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        return path

    def _blob(self, value: np.ndarray) -> int:
        offset = len(self._blobs)
        data = value.tobytes()
        self._blobs += struct.pack("<IIQQQ32x", 0xDEADBEEF, _BLOB_TYPES[value.dtype], len(data), offset + 64, 0)
        self._blobs += data + bytes(-len(data) % 64)
        return offset


def _declare(declared: Any, shape: Shape, element: Element) -> None:
    tensor = declared.tensorType
    tensor.dataType = mil_proto().DataType.Value(element.name)
    tensor.rank = len(shape)
    for size in shape:
        tensor.dimensions.add().constant.size = size


def _feature(features: Any, name: str, shape: Shape, element: Element) -> Any:
    array = features.add(name=name).type.multiArrayType
    array.shape.extend(shape)
    array.dataType = getattr(feature_proto().ArrayFeatureType, element.name)
    return array


def brightening(path: Path, shape: Shape = (1, 3, 8, 8), name: str = "image") -> Path:
    """conv 1×1 → relu of one picture, float32."""
    writer = PackageWriter()
    writer.input(name, shape)
    writer.constant("weight", np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1) * np.float32(1.5))
    writer.constant("pad_type", "valid")
    writer.add("conv", "mixed", shape, x=name, weight="weight", pad_type="pad_type")
    writer.add("relu", "bright", shape, x="mixed")
    writer.output("bright", shape)
    return writer.save(path)


def lookup(path: Path, places: int = 10) -> Path:
    """gather: rows of a table of `places` rows for four int32 indices."""
    writer = PackageWriter()
    writer.input("ids", (4,), Element.INT32)
    writer.constant("table", np.arange(places * 2, dtype=np.float32).reshape(places, 2))
    writer.add("gather", "rows", (4, 2), x="table", indices="ids")
    writer.output("rows", (4, 2))
    return writer.save(path)

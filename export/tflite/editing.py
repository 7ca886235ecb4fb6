"""Changes to a finished TFLite file: the names of its inputs and output, and what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...runtime_ref.errors import require
from ..labels import Stamp

METADATA = "com.dofkit"
"""Name of the metadata entry that holds a file's description, author, licence … as one JSON object in UTF-8."""

_ALIGNMENT = 16  # of stored tensors, as the schema asks; the generated packing code forgets it


def name_tensors(path: Path, inputs: Sequence[str]) -> None:
    """Give the graph's inputs and output the signature's names, and the inputs an order.

    The converter names tensors after the stage too, and in an order of its own; an app that does not use signatures
    finds them by these.

    Args:
        path: a file with one graph and one signature.
        inputs: the signature's inputs in the order that the graph shall list them.
    """
    model = _read(path)
    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    order = list(inputs)
    signature.inputs.sort(key=lambda binding: order.index(binding.name.decode()))
    graph.inputs = [binding.tensorIndex for binding in signature.inputs]
    named = {binding.tensorIndex: binding.name for binding in (*signature.inputs, *signature.outputs)}
    for index, tensor in enumerate(graph.tensors):
        if index in named:
            tensor.name = named[index]
        elif tensor.name in named.values():
            tensor.name += b"_inner"
    path.write_bytes(_packed(model))


def write_stamp(path: Path, stamp: Stamp) -> None:
    """Write into a file what it says of itself."""
    schema = require("ai_edge_litert.schema_py_generated", "tflite", "writing a TFLite file")
    model = _read(path)
    texts = {"description": stamp.description, **stamp.texts()}
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = json.dumps(texts, sort_keys=True, ensure_ascii=False).encode()
    entry.name, entry.buffer = METADATA.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
    model.description = stamp.description.encode()
    path.write_bytes(_packed(model))


def read_stamp(path: Path) -> dict[str, str]:
    """What a file says of itself; empty for one that says nothing."""
    model = _read(path)
    found = [model.buffers[entry.buffer].data for entry in model.metadata or () if entry.name == METADATA.encode()]
    return json.loads(bytes(found[0])) if found else {}


def _read(path: Path) -> Any:
    """A file as objects that can be changed, all stored numbers with them."""
    schema = require("ai_edge_litert.schema_py_generated", "tflite", "reading a TFLite file")
    content = bytearray(path.read_bytes())
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for buffer in model.buffers:
        if buffer.offset > 1:  # a large file's weights lie behind the flatbuffer
            buffer.data = content[buffer.offset : buffer.offset + buffer.size]
            buffer.offset = buffer.size = 0
    return model


def _packed(model: Any) -> bytes:
    """The bytes of a file."""
    flatbuffers = require("flatbuffers", "tflite", "writing a TFLite file")
    builder = flatbuffers.Builder(1 << 20)
    model.buffers = [_Aligned(buffer) for buffer in model.buffers]
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Aligned:
    """A buffer that packs itself so that its numbers begin at a multiple of 16 bytes."""

    def __init__(self, buffer: Any) -> None:
        self._data = b"" if buffer.data is None else bytes(buffer.data)

    def Pack(self, builder: Any) -> int:
        """Write the buffer's table; its place. The name is that of the generated code, which calls it."""
        schema = require("ai_edge_litert.schema_py_generated", "tflite", "writing a TFLite file")
        data = self._vector(builder) if self._data else None
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)

    def _vector(self, builder: Any) -> int:
        size = len(self._data)
        builder.StartVector(1, size, _ALIGNMENT)
        builder.head -= size
        builder.Bytes[builder.head : builder.head + size] = self._data
        return builder.EndVector()

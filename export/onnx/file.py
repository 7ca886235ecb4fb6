"""ONNX files, read and written: what computes what, which tensors are stored, and bytes that are always the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import __version__
from ...runtime_ref.errors import DofkitError, require
from ..labels import Stamp

Array = NDArray[Any]


class OnnxFile:
    """A file's graph, for reading.

    Attributes:
        path: of the file.
        model: its ModelProto.
        nodes: its operations, in order of computation.
    """

    def __init__(self, path: Path, model: Any = None) -> None:
        """Read a file.

        Args:
            path: of the file.
            model: what was read of it before.

        Raises:
            DofkitError: it is no ONNX file.
        """
        self.path = path
        self.model = _read(path) if model is None else model
        self.nodes: tuple[Any, ...] = tuple(self.model.graph.node)
        self._stored: Mapping[str, Any] = {tensor.name: tensor for tensor in self.model.graph.initializer}

    def constant(self, name: str) -> Array | None:
        """The numbers of a stored tensor; None for what is computed."""
        helper = require("onnx.numpy_helper", "onnx", "reading an ONNX file")
        return np.asarray(helper.to_array(self._stored[name])) if name in self._stored else None

    def floats(self) -> Iterator[tuple[str, Array]]:
        """Name and numbers of every stored tensor of floats, in nodes of their own too."""
        helper = require("onnx.numpy_helper", "onnx", "reading an ONNX file")
        stored = [(name, tensor) for name, tensor in self._stored.items()]
        for node in self.nodes:
            if node.op_type == "Constant":
                stored += [(node.output[0], each.t) for each in node.attribute if each.name == "value"]
        for name, tensor in stored:
            values = np.asarray(helper.to_array(tensor))
            if values.dtype in (np.float16, np.float32):
                yield name, values

    def integers(self) -> Iterator[tuple[str, Array]]:
        """Name and numbers of every stored tensor of int8."""
        helper = require("onnx.numpy_helper", "onnx", "reading an ONNX file")
        for name, tensor in self._stored.items():
            values = np.asarray(helper.to_array(tensor))
            if values.dtype == np.int8 and values.ndim > 1:
                yield name, values

    def producer(self, name: str) -> Any | None:
        """The operation that computes a tensor; None for inputs and stored tensors."""
        return self._producers.get(name)

    def consumers(self, name: str) -> list[Any]:
        """The operations that take a tensor."""
        return [node for node in self.nodes if name in node.input]

    @cached_property
    def _producers(self) -> dict[str, Any]:
        return {name: node for node in self.nodes for name in node.output}


def _read(path: Path) -> Any:
    onnx = require("onnx", "onnx", "reading an ONNX file")
    try:
        return onnx.load(str(path))
    except Exception as error:  # protobuf's own error classes share no public base
        raise DofkitError(f"{path} is no ONNX file; export the bundle again") from error


def operators(path: Path) -> dict[str, int]:
    """The file's operations and how often each stands in it (constants left out)."""
    counts = Counter(node.op_type for node in OnnxFile(path).nodes if node.op_type != "Constant")
    return dict(sorted(counts.items()))


def deployment(path: Path) -> str:
    """The operator set that a file needs."""
    imports = OnnxFile(path).model.opset_import
    return f"ONNX opset {next(entry.version for entry in imports if entry.domain in ('', 'ai.onnx'))}"


def encoded(model: Any) -> bytes:
    """The bytes of a model's file: checked, and the same for the same model on every machine."""
    onnx = require("onnx", "onnx", "writing an ONNX file")
    graph = model.graph
    # Exporters write stack traces with paths, and which tool was run, on the model, its nodes and its values.
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def write_stamp(path: Path, stamp: Stamp) -> None:
    """Write into a file what it says of itself: producer, domain, a line for people, and texts by name."""
    model = OnnxFile(path).model
    model.producer_name, model.producer_version, model.domain = "dofkit", __version__, "com.dofkit"
    model.doc_string = stamp.description
    del model.metadata_props[:]
    for name, text in sorted(stamp.texts().items()):
        model.metadata_props.add(key=name, value=text)
    path.write_bytes(model.SerializeToString(deterministic=True))

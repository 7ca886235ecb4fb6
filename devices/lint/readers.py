"""Files of every target as a `Graph`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.bundle import Bundle, ModelEntry
from ...runtime_ref.coreai import open_program
from ...runtime_ref.errors import DofkitError, require
from ...runtime_ref.mil import MLProgram
from ...runtime_ref.mil.program import Constant, Operation, TensorType
from ...runtime_ref.target import Target
from ...runtime_ref.tflite_file import TFLiteFile, TfliteOperation
from .graph import Convolution, Graph, Node, TensorFacts

_MODULES = re.compile(r"([A-Za-z]\w*)_(\w+?)(?=[/;]|$)")  # "Conv2d_around" of a path of modules


def read_graph(bundle: Bundle, model: ModelEntry) -> Graph:
    """A model's file as a graph.

    Raises:
        MissingExtraError: the target's package is not installed.
        DofkitError: the file cannot be read.
    """
    path = bundle.path(model.path)
    match model.target:
        case Target.TFLITE:
            return tflite_graph(path)
        case Target.ONNX:
            return onnx_graph(path)
        case Target.COREML:
            return program_graph(MLProgram.open(path, model.function), Target.COREML)
        case Target.COREAI:
            return program_graph(open_program(path, model.function), Target.COREAI)


def tflite_graph(path: Path) -> Graph:
    """A TFLite file."""
    file = TFLiteFile(path)
    computed = {index for operation in file.operations for index in operation.outputs}
    given = {index for operation in file.operations for index in operation.inputs if index >= 0}
    inputs = {index for index in given - computed if file.constant(index) is None}
    tensors = {
        file.name(index): TensorFacts(file.name(index), file.shape(index), file.element(index).lower())
        for index in sorted(computed | inputs)
    }
    return Graph(Target.TFLITE, tuple(_tflite_node(file, one) for one in file.operations), tensors)


def _tflite_node(file: TFLiteFile, operation: TfliteOperation) -> Node:
    name = file.name(operation.outputs[0])
    modules = _MODULES.findall(name.rpartition(";;")[2])
    return Node(
        kind=operation.kind,
        name=name,
        inputs=tuple(file.name(index) for index in operation.inputs if index >= 0),
        outputs=tuple(file.name(index) for index in operation.outputs),
        module=".".join(part for _, part in modules if part != "network"),
        convolution=_tflite_convolution(file, operation),
        terms=_tflite_terms(file, operation),
    )


def _tflite_convolution(file: TFLiteFile, operation: TfliteOperation) -> Convolution | None:
    if operation.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return None
    picture, kernel = operation.inputs[:2]
    channels, shape = file.shape(picture)[-1], file.shape(kernel)
    stored = file.constant(kernel)
    if operation.kind == "DEPTHWISE_CONV_2D":  # [1, height, width, outputs]
        weights = None if stored is None else stored.transpose(3, 0, 1, 2)
        return Convolution(channels, shape[3], shape[1:3], channels, weights)
    weights = None if stored is None else stored.transpose(0, 3, 1, 2)
    return Convolution(channels, shape[0], shape[1:3], channels // shape[3], weights)


def _tflite_terms(file: TFLiteFile, operation: TfliteOperation) -> int:
    if operation.kind not in ("SUM", "MEAN"):
        return 0
    axes = file.constant(operation.inputs[1])
    shape = file.shape(operation.inputs[0])
    return 0 if axes is None else math.prod(shape[int(axis)] for axis in np.atleast_1d(axes))


def onnx_graph(path: Path) -> Graph:
    """An ONNX file; shapes that it does not write are inferred."""
    onnx = require("onnx", "onnx", "reading an ONNX file")
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    except Exception as error:  # protobuf's own error classes share no public base
        raise DofkitError(f"{path} is no ONNX file; export the bundle again") from error
    graph = model.graph
    stored = {one.name: one for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            stored.update((node.output[0], one.t) for one in node.attribute if one.name == "value")
    values = [*graph.input, *graph.output, *graph.value_info]
    tensors = {one.name: _onnx_tensor(onnx, one) for one in values if one.name not in stored}

    def constant(name: str) -> NDArray[Any] | None:
        return np.asarray(onnx.numpy_helper.to_array(stored[name])) if name in stored else None

    nodes = tuple(_onnx_node(onnx, node, constant, tensors) for node in graph.node if node.op_type != "Constant")
    return Graph(Target.ONNX, nodes, tensors)


def _onnx_tensor(onnx: Any, value: Any) -> TensorFacts:
    kind = value.type.tensor_type
    element = onnx.TensorProto.DataType.Name(kind.elem_type).lower()
    if not kind.HasField("shape"):
        return TensorFacts(value.name, None, element)
    sizes = (one.dim_value if one.WhichOneof("value") == "dim_value" else None for one in kind.shape.dim)
    return TensorFacts(value.name, tuple(sizes), "float32" if element == "float" else element)


def _onnx_node(
    onnx: Any, node: Any, constant: Callable[[str], NDArray[Any] | None], tensors: Mapping[str, TensorFacts]
) -> Node:
    options = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    convolution, terms = None, 0
    weights = constant(node.input[1]) if len(node.input) > 1 else None
    if node.op_type == "Conv" and weights is not None:
        groups = int(options.get("group", 1))
        convolution = Convolution(weights.shape[1] * groups, weights.shape[0], weights.shape[2:], groups, weights)
    if node.op_type in ("ReduceSum", "ReduceMean"):
        axes = options.get("axes", weights)
        terms = _product(tensors.get(node.input[0]), axes)
    return Node(node.op_type, node.output[0], tuple(node.input), tuple(node.output), "", convolution, terms)


def program_graph(program: MLProgram, target: Target) -> Graph:
    """A Core ML package's or a Core AI asset's function."""
    operations = [one for one in program.function.block.walk() if not one.is_constant]
    named = [*program.function.inputs, *(output for one in operations for output in one.outputs)]
    tensors = {name: _program_tensor(name, kind) for name, kind in named if isinstance(kind, TensorType)}
    nodes = tuple(_program_node(program, one, tensors) for one in operations)
    return Graph(target, nodes, tensors)


def _program_tensor(name: str, kind: TensorType) -> TensorFacts:
    element = {"fp32": "float32", "fp16": "float16"}.get(str(kind.element), str(kind.element))
    return TensorFacts(name, kind.shape, element)


def _program_node(program: MLProgram, operation: Operation, tensors: Mapping[str, TensorFacts]) -> Node:
    inputs = tuple(one for bindings in operation.inputs.values() for one in bindings if isinstance(one, str))
    outputs = tuple(name for name, _ in operation.outputs)
    convolution = _program_convolution(program, operation, tensors)
    terms = 0
    if operation.type in ("reduce_sum", "reduce_mean"):
        terms = _product(tensors.get(_bound(operation, "x") or ""), _values(program, operation, "axes"))
    return Node(operation.type, operation.name, inputs, outputs, "", convolution, terms)


def _program_convolution(
    program: MLProgram, operation: Operation, tensors: Mapping[str, TensorFacts]
) -> Convolution | None:
    if operation.type != "conv":
        return None
    weights = _values(program, operation, "weight")
    picture = tensors.get(_bound(operation, "x") or "")
    if weights is None or picture is None or len(picture.sizes) < 2:
        return None
    channels = picture.sizes[1]
    return Convolution(channels, weights.shape[0], weights.shape[2:], channels // weights.shape[1], weights)


def _bound(operation: Operation, parameter: str) -> str | None:
    """The name of the value that a parameter is bound to."""
    bindings = operation.inputs.get(parameter, ())
    return bindings[0] if bindings and isinstance(bindings[0], str) else None


def _values(program: MLProgram, operation: Operation, parameter: str) -> NDArray[Any] | None:
    """A parameter that is a constant, in place or by name; None for what is computed."""
    bindings = operation.inputs.get(parameter, ())
    if not bindings:
        return None
    if isinstance(bindings[0], Constant):
        return np.asarray(program.package.read(bindings[0]))
    try:
        return np.asarray(program.constant(bindings[0]))
    except DofkitError:
        return None


def _product(tensor: TensorFacts | None, axes: Sequence[int] | NDArray[Any] | None) -> int:
    """Values along some axes; 0 where they are not known."""
    if tensor is None or not tensor.sizes or axes is None:
        return 0
    return math.prod(tensor.sizes[int(axis)] for axis in np.atleast_1d(np.asarray(axes)))

"""A float32 ONNX file in every integer precision; inputs and outputs stay float32.

Activations are quantised by ONNX Runtime's own tools, with ranges that were measured beforehand.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.errors import DofkitError, require
from ...runtime_ref.quiet import silence
from ...runtime_ref.target import Precision
from ..precision import LEAST_WEIGHTS
from ..ranges import Ranges
from .file import OnnxFile, encoded
from .stored import DENSE, is_dense, layer_name

Array = NDArray[Any]

_LEVELS = 127  # symmetric: −128 is not used
_CLIPPED = ("Relu", "Clip")  # ReLU and ReLU6: behind a convolution they vanish in its range


def quantise(
    float32: Path, goal: Path, precision: Precision, ranges: Ranges | None = None, kept: Collection[str] = ()
) -> None:
    """Write a file in another precision; the same arguments give the same bytes.

    Args:
        float32: the stage's file in float32.
        goal: the file to write.
        precision: W8, DYNAMIC, W8A8 or MIXED.
        ranges: for precisions that need them: least and greatest value of the inputs and of every tensor of
            `float32`, by name.
        kept: layers that stay in floats, named as `convolutions(float32)` and `dense(float32)` name them. They compute
            in float32; their weights are stored in float16, which costs no quality that can be seen and half the bytes.

    Raises:
        DofkitError: a name in `kept` that the file has not; a range that is missing.
    """
    file = OnnxFile(float32)
    layers = {layer_name(file, node) for node in file.nodes if node.op_type == "Conv"} | set(_dense_weights(file))
    missing = sorted(set(kept).difference(layers))
    if missing:
        raise DofkitError(
            f"{float32.name} has no layer {missing[0]!r} to keep in floats; run `dofkit sensitivity` again"
        )
    match precision:
        case Precision.W8:
            model = copy.deepcopy(file.model)
            _store_integers(file, model, kept)
        case Precision.DYNAMIC:
            model = _dynamic(file, kept)
        case Precision.W8A8 | Precision.MIXED:
            model = _static(file, ranges or {}, kept)
        case _:
            raise DofkitError(f"ONNX files cannot be quantised to {precision}; see `dofkit export --help`")
    _store_halves(file, model, kept)
    goal.write_bytes(encoded(model))


def _store_integers(file: OnnxFile, model: Any, kept: Collection[str]) -> None:
    """Store the weights of all other convolutions, and of fully connected layers, in int8, one scale a channel.

    Given `Conv(x, w)`, the result is `Conv(x, Mul(Cast(w), scale))`, which ONNX Runtime computes once, when it loads.
    Not DequantizeLinear: it would be kept, and computed again in every run (the depth network: 1.7 times the time).
    """
    for name in _weights(file, lambda layer: layer not in kept):
        values = file.constant(name)
        assert values is not None
        if values.size < LEAST_WEIGHTS:
            continue
        _replace(model, name, *_integers(values, 0))
    for name, axis in _dense_weights(file).items():
        if name in kept:
            continue
        values = file.constant(name)
        assert values is not None
        _replace(model, name, *_integers(values, axis))


def _dense_weights(file: OnnxFile) -> dict[str, int]:
    """The stored weights of fully connected layers that are worth fewer bits, each with its axis of outputs."""
    found = {}
    for node in file.nodes:
        if is_dense(file, node):
            transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
            found[node.input[1]] = 0 if transposed else 1
    return found


def _integers(weight: Array, axis: int) -> tuple[Array, Array]:
    """A weight as int8 of the same shape times a scale of each channel on an axis, which broadcasts against it."""
    others = tuple(each for each in range(weight.ndim) if each != axis)
    largest = np.abs(weight).max(axis=others, keepdims=True)
    scale = (largest / _LEVELS).astype(np.float32)
    scale[scale < np.finfo(np.float32).tiny] = 1  # a channel of zeros, or of numbers too small for a scale
    return np.rint(weight / scale).astype(np.int8), scale


def _store_halves(file: OnnxFile, model: Any, kept: Collection[str]) -> None:
    """Store the weights of some layers in float16; they are cast when ONNX Runtime loads them."""
    dense = [name for name in _dense_weights(file) if name in kept]
    for name in (*_weights(file, lambda layer: layer in kept), *dense):
        values = file.constant(name)
        assert values is not None
        if values.size >= LEAST_WEIGHTS:
            _replace(model, name, values.astype(np.float16))


def _weights(file: OnnxFile, chosen: Callable[[str], bool]) -> list[str]:
    """The stored weights of some layers, each once."""
    nodes = [node for node in file.nodes if node.op_type == "Conv" and chosen(layer_name(file, node))]
    return list(dict.fromkeys(node.input[1] for node in nodes))


def _replace(model: Any, name: str, stored: Array, scale: Array | None = None) -> None:
    """Store a weight in another type, and restore it in front of the convolutions that take it."""
    onnx = require("onnx", "onnx", "quantising an ONNX file")
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(onnx.numpy_helper.from_array(stored, name))
    for declared in [value for value in model.graph.value_info if value.name == name]:
        model.graph.value_info.remove(declared)  # it says float32
    restored = f"{name}_float"
    nodes = [onnx.helper.make_node("Cast", [name], [restored], f"{name}_cast", to=onnx.TensorProto.FLOAT)]
    if scale is not None:
        model.graph.initializer.append(onnx.numpy_helper.from_array(scale, f"{name}_scale"))
        nodes.append(onnx.helper.make_node("Mul", [restored, f"{name}_scale"], [f"{name}_restored"], f"{name}_mul"))
        restored = f"{name}_restored"
    for node in model.graph.node:
        if node.op_type in ("Conv", *DENSE) and node.input[1] == name:
            node.input[1] = restored
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _dynamic(file: OnnxFile, kept: Collection[str]) -> Any:
    """ConvInteger on activations that are quantised with the range they have in that run; a scale a layer."""
    onnx = require("onnx", "onnx", "quantising an ONNX file")
    tools = require("onnxruntime.quantization", "onnx", "quantising an ONNX file")
    with silence(), tempfile.TemporaryDirectory() as folder:
        goal = Path(folder) / "dynamic.onnx"
        tools.quantize_dynamic(
            _prepared(file),
            str(goal),
            op_types_to_quantize=["Conv", *DENSE],
            weight_type=tools.QuantType.QInt8,
            nodes_to_exclude=[node.name for node in file.nodes if _stays(file, node, kept)],
        )
        return _in_order(file, onnx.load(str(goal)))


def _static(file: OnnxFile, ranges: Ranges, kept: Collection[str]) -> Any:
    """Quantise and dequantise around every convolution, which ONNX Runtime turns into QLinearConv when it loads.

    uint8 activations: a ReLU's range then starts at its zero point and the ReLU itself vanishes; with int8 ONNX Runtime
    left 16 of the depth network's 47 convolutions in floats. Convolutions and their ReLUs only: with concatenations
    too, the lens blur fell from 46 dB to 33 dB.
    """
    tools = require("onnxruntime.quantization", "onnx", "quantising an ONNX file")
    calibrate = require("onnxruntime.quantization.calibrate", "onnx", "quantising an ONNX file")
    # quantize_static would calibrate by itself; the quantizer behind it takes ranges.
    qdq = require("onnxruntime.quantization.qdq_quantizer", "onnx", "quantising an ONNX file")
    left = _left_in_floats(file, ranges, kept)
    limits = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    with silence():
        quantizer = qdq.QDQQuantizer(
            model=_prepared(file),
            per_channel=True,
            reduce_range=False,
            weight_qType=tools.QuantType.QInt8,
            activation_qType=tools.QuantType.QUInt8,
            tensors_range=calibrate.TensorsData(calibrate.CalibrationMethod.MinMax, limits),
            nodes_to_quantize=[],
            nodes_to_exclude=left,
            op_types_to_quantize=["Conv", *DENSE, *_CLIPPED],
            extra_options={},
        )
        quantizer.quantize_model()
    return _in_order(file, quantizer.model.model)


def _left_in_floats(file: OnnxFile, ranges: Ranges, kept: Collection[str]) -> list[str]:
    """Names of the operations that are not quantised: kept convolutions, and ReLUs that follow none that is.

    Raises:
        DofkitError: a tensor that is quantised has no range.
    """
    left = []
    for node in file.nodes:
        source = file.producer(node.input[0])
        if (node.op_type == "Conv" or is_dense(file, node)) and not _is_kept(file, node, kept):
            needed = [node.input[0], node.output[0]]
        elif node.op_type in _CLIPPED and source and source.op_type == "Conv" and not _is_kept(file, source, kept):
            needed = [node.output[0]]
        else:
            left.append(node.name)
            continue
        missing = next((name for name in needed if name not in ranges), None)
        if missing is not None:
            raise DofkitError(f"{file.path.name}: no range of {missing!r} is known; calibrate with this very file")
    return left


def _in_order(file: OnnxFile, model: Any) -> Any:
    """Sort a quantised model's operations as the float32 file's; ONNX Runtime's own sorting swaps branches."""
    producers = {name: node for node in model.graph.node for name in node.output}
    ordered: dict[str, Any] = {}  # by first output

    def place(node: Any) -> None:
        if node.output[0] in ordered:
            return
        for name in node.input:
            if name in producers:
                place(producers[name])
        ordered[node.output[0]] = node

    # What was not quantised keeps its name, a ConvInteger has its convolution's and a suffix.
    rank = {node.name + suffix: index for index, node in enumerate(file.nodes) for suffix in ("", "_quant")}
    for node in sorted(model.graph.node, key=lambda node: rank.get(node.name, len(rank))):
        place(node)
    del model.graph.node[:]
    model.graph.node.extend(ordered.values())
    return model


def _is_kept(file: OnnxFile, node: Any, kept: Collection[str]) -> bool:
    if node.op_type == "Conv":
        return layer_name(file, node) in kept
    return is_dense(file, node) and node.input[1] in kept


def _stays(file: OnnxFile, node: Any, kept: Collection[str]) -> bool:
    """Whether an operation that could be quantised is not: a kept layer, a product of two results."""
    return _is_kept(file, node, kept) or (node.op_type in DENSE and not is_dense(file, node))


def _prepared(file: OnnxFile) -> Any:
    """ONNX Runtime's pre-processing: every tensor's type and shape is written down.

    Its optimiser stays off, it renames the tensors that ranges were measured of.
    """
    onnx = require("onnx", "onnx", "quantising an ONNX file")
    inference = require("onnxruntime.quantization.shape_inference", "onnx", "quantising an ONNX file")
    with tempfile.TemporaryDirectory() as folder:
        goal = Path(folder) / "prepared.onnx"
        inference.quant_pre_process(str(file.path), str(goal), skip_optimization=True, skip_symbolic_shape=True)
        return onnx.load(str(goal))

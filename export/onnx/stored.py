"""The weights of a file's convolutions as they lie in it, float or quantised, with or without operations in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.errors import DofkitError
from ..parameters import StoredConstant
from ..precision import LEAST_WEIGHTS
from ..stored import StoredConvolution, StoredWeights, half_step, within_rounding
from .file import OnnxFile

Array = NDArray[Any]

CONVOLUTIONS = ("Conv", "ConvInteger")
DENSE = ("MatMul", "Gemm")  # fully connected layers, where their second operand is stored
_STORED = {"float32": "fp32", "float16": "fp16", "int8": "int8"}


def convolutions(path: Path) -> list[StoredConvolution]:
    """Every convolution that a file computes, in the order of computation; a shared one several times.

    Their names are the layers' paths in the PyTorch network, in every precision.

    Raises:
        DofkitError: it is no ONNX file of a stage.
    """
    return convolutions_of(OnnxFile(path))


def convolutions_of(file: OnnxFile) -> list[StoredConvolution]:
    """The same of a file that was read."""
    return [_read(file, node) for node in file.nodes if node.op_type in CONVOLUTIONS]


def is_dense(file: OnnxFile, node: Any) -> bool:
    """Whether an operation is a fully connected layer that is worth fewer bits."""
    values = file.constant(node.input[1]) if node.op_type in DENSE else None
    return values is not None and values.ndim == 2 and values.size >= LEAST_WEIGHTS


def dense(path: Path) -> dict[str, StoredConstant]:
    """The fully connected layers of a file in floats, by the names of their weights."""
    file = OnnxFile(path)
    names = dict.fromkeys(node.input[1] for node in file.nodes if is_dense(file, node))
    return {
        name: StoredConstant(name, plain.values, plain.stored, plain.step) for name, plain in _weights_of(file, names)
    }


def _weights_of(file: OnnxFile, names: Iterable[str]) -> Iterator[tuple[str, _Constant]]:
    for name in names:
        values = file.constant(name)
        assert values is not None, "a stored tensor"
        yield name, _plain(values)


def constants(path: Path) -> list[StoredConstant]:
    """Every tensor of floats, or of integers that stand for floats, that a file stores."""
    file, found = OnnxFile(path), []
    for name, values in file.floats():
        plain = _plain(values)
        found.append(StoredConstant(name, plain.values, _STORED.get(plain.stored, plain.stored), plain.step))
    for name, restored in _restored(file):
        found.append(
            StoredConstant(name, restored.values, _STORED.get(restored.stored, restored.stored), restored.step)
        )
    return found


def _restored(file: OnnxFile) -> Iterator[tuple[str, _Constant]]:
    """What the file's int8 tensors stand for: they, or the sums of their products, are scaled by a tensor of that
    name."""
    axes = {node.input[0]: _axis(node) for node in file.nodes if node.op_type == "DequantizeLinear"}
    for name, values in file.integers():
        scale = file.constant(f"{name.removesuffix('_quantized')}_scale")
        if scale is not None:
            along = [1] * values.ndim
            if scale.size > 1:  # a square matrix has two axes of its size
                along[axes.get(name, 0)] = -1
            spread = scale.astype(np.float64).reshape(scale.shape if scale.ndim == values.ndim else along)
            yield name, _plain(values).scaled(spread)


def _axis(dequantise: Any) -> int:
    """Along which axis each channel has its own scale."""
    return next((attribute.i for attribute in dequantise.attribute if attribute.name == "axis"), 1)


def layer_name(file: OnnxFile, convolution: Any) -> str:
    """The layer's path in the PyTorch network: the exporter names stored weights after it."""
    name: str = convolution.input[1]
    while (node := file.producer(name)) is not None:
        name = node.input[0]
    return name.removesuffix("_quantized").removesuffix(".weight")


@dataclass(frozen=True, eq=False)
class _Constant:
    """A tensor that only stored numbers make.

    Attributes:
        values: what is computed with, float64.
        step: how far rounding moved each of them at most; broadcasts against them.
        stored: the type they are stored in.
    """

    values: Array
    step: Array | float
    stored: str

    def scaled(self, scale: Array) -> _Constant:
        """The same times a scale that broadcasts against it."""
        return _Constant(self.values * scale, self.step * scale, self.stored)


def _read(file: OnnxFile, convolution: Any) -> StoredConvolution:
    weight = _constant(file, convolution.input[1])
    bias = None
    if convolution.op_type == "ConvInteger":
        scale, bias = _after(file, convolution)
        weight = weight.scaled(scale)
    elif len(convolution.input) > 2 and convolution.input[2]:
        bias = _constant(file, convolution.input[2])
    return StoredConvolution(
        name=layer_name(file, convolution),
        weight=weight.values,
        bias=None if bias is None else bias.values,
        stored=_STORED.get(weight.stored, weight.stored),
        step=np.broadcast_to(weight.step, weight.values.shape),
        bias_step=0.0 if bias is None else bias.step,
    )


def _constant(file: OnnxFile, name: str) -> _Constant:
    """A stored tensor, or what the operations that restore quantised weights make of one."""
    values = file.constant(name)
    if values is not None:
        return _plain(values)
    node = file.producer(name)
    match node.op_type if node is not None else None:
        case "Cast" | "Reshape":
            assert node is not None
            return _constant(file, node.input[0])
        case "Mul":
            assert node is not None
            return _constant(file, node.input[0]).scaled(_numbers(file, node.input[1]))
        case "DequantizeLinear":
            assert node is not None
            return _dequantised(file, node)
        case _:
            raise DofkitError(f"{file.path.name} computes the weights {name!r}; export the bundle again")


def _plain(values: Array) -> _Constant:
    exact = values.astype(np.float64)
    step: Array | float = 0.0
    if values.dtype.kind == "i":
        step = 0.5
    elif values.dtype == np.float16:
        step = half_step(exact)
    return _Constant(exact, step, values.dtype.name)


def _dequantised(file: OnnxFile, node: Any) -> _Constant:
    """(x − zero point) · scale, both for each channel of an axis or for all."""
    whole = _constant(file, node.input[0])
    scale = _numbers(file, node.input[1])
    zero = _numbers(file, node.input[2]) if len(node.input) > 2 else np.zeros(1)
    axis = _axis(node)
    shape = [-1 if index == axis else 1 for index in range(whole.values.ndim)] if scale.size > 1 else []
    return _Constant(whole.values - zero.reshape(shape), whole.step, whole.stored).scaled(scale.reshape(shape))


def _after(file: OnnxFile, convolution: Any) -> tuple[Array, _Constant | None]:
    """Scale and bias of an integer convolution: → Cast → Mul(·, input's scale · weight's scale) → Add(·, bias)."""
    (cast,) = file.consumers(convolution.output[0])
    (scaled,) = file.consumers(cast.output[0])
    (factors,) = (node for node in map(file.producer, scaled.input) if node is not None and node is not cast)
    (scale,) = (values for values in map(file.constant, factors.input) if values is not None)
    for node in file.consumers(scaled.output[0]):
        if node.op_type == "Add" and node.input[0] == scaled.output[0] and _is_stored(file, node.input[1]):
            return scale.astype(np.float64), _constant(file, node.input[1])
    return scale.astype(np.float64), None


def _is_stored(file: OnnxFile, name: str) -> bool:
    """Whether a summand is a bias, which is stored, perhaps in another shape, and not another layer's result."""
    node = file.producer(name)
    return file.constant(name) is not None or (
        node is not None and node.op_type == "Reshape" and _is_stored(file, node.input[0])
    )


def _numbers(file: OnnxFile, name: str) -> Array:
    values = file.constant(name)
    if values is None:
        raise DofkitError(f"{file.path.name} computes the scale {name!r}; export the bundle again")
    return values.astype(np.float64)


STORED = StoredWeights(convolutions, constants, within_rounding, dense)

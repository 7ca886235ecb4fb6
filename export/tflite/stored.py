"""The weights of a file's convolutions as they lie in it, float or quantised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.tflite_file import TFLiteFile, TfliteOperation
from ..parameters import StoredConstant
from ..stored import StoredConvolution, StoredWeights, half_step, within_rounding

Array = NDArray[Any]

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
DENSE = "FULLY_CONNECTED"
_STORED = {"FLOAT32": "fp32", "FLOAT16": "fp16", "INT8": "int8", "INT4": "int4"}


def convolutions(path: Path) -> list[StoredConvolution]:
    """Every convolution that a file computes, in the order of computation; a shared one several times.

    Raises:
        DofkitError: it is no TFLite file of a stage.
    """
    file = TFLiteFile(path)
    return [_read(file, operation) for operation in file.operations if operation.kind in CONVOLUTIONS]


def constants(path: Path) -> list[StoredConstant]:
    """Every tensor of floats, or of integers that stand for floats, that a file stores."""
    file = TFLiteFile(path)
    found = []
    for tensor in range(file.tensors):
        plain = file.element(tensor) in ("FLOAT32", "FLOAT16")
        if file.constant_size(tensor) and (plain or file.quantisation(tensor) is not None):
            values, step = _values(file, tensor)
            label = _STORED.get(file.element(tensor), file.element(tensor).lower())
            found.append(StoredConstant(file.name(tensor), values, label, step))
    return found


def dense(path: Path) -> dict[str, StoredConstant]:
    """The fully connected layers of a file in floats, by the names of their calls."""
    file, found = TFLiteFile(path), {}
    for operation in file.operations:
        if operation.kind == DENSE and file.constant_size(weight := _source(file, operation.inputs[1])):
            values, step = _values(file, weight)
            found[layer_name(file, operation)] = StoredConstant(file.name(weight), values, file.element(weight), step)
    return found


def layer_name(file: TFLiteFile, convolution: TfliteOperation) -> str:
    """The name of a call of a convolution: its output's, which is the same in every precision of a stage."""
    return file.name(convolution.outputs[0])


def _read(file: TFLiteFile, convolution: TfliteOperation) -> StoredConvolution:
    weight, bias = (_source(file, tensor) for tensor in convolution.inputs[1:3])
    # [O, H, W, I], or [1, H, W, O] where each output channel sees one input channel.
    order = (0, 3, 1, 2) if convolution.kind == "CONV_2D" else (3, 0, 1, 2)
    values, step = _values(file, weight)
    biases, bias_step = (None, 0.0) if bias < 0 else _values(file, bias)
    return StoredConvolution(
        name=layer_name(file, convolution),
        weight=values.transpose(order),
        bias=biases,
        stored=_STORED[file.element(weight)],
        step=np.broadcast_to(step, values.shape).transpose(order),
        bias_step=bias_step,
    )


def _source(file: TFLiteFile, tensor: int) -> int:
    """The stored tensor that a tensor is; weights that are computed with in floats come out of a DEQUANTIZE."""
    for operation in file.operations:
        if operation.kind == "DEQUANTIZE" and tensor in operation.outputs:
            return operation.inputs[0]
    return tensor


def _values(file: TFLiteFile, tensor: int) -> tuple[Array, Array | float]:
    """A constant's numbers, or what its integers stand for, as float64; and how far rounding moved each at most."""
    stored = file.constant(tensor)
    if stored is None:
        raise DofkitError(f"{file.path.name} computes the weights {file.name(tensor)!r}; export the bundle again")
    found = file.quantisation(tensor)
    if found is None:
        values = stored.astype(np.float64)
        return values, half_step(values) if stored.dtype == np.float16 else 0.0
    along = [1] * stored.ndim
    along[found.axis] = -1
    scale = found.scale.reshape(along)
    return (stored.astype(np.float64) - found.zero_point.reshape(along)) * scale, scale / 2


STORED = StoredWeights(convolutions, constants, within_rounding, dense)

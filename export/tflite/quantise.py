"""A float32 TFLite file in every other precision, through AI Edge Quantizer; inputs and outputs stay float32."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.errors import DofkitError, require
from ...runtime_ref.quiet import silence
from ...runtime_ref.target import Precision
from ...runtime_ref.tflite_file import TFLiteFile, TfliteOperation
from ..ranges import Ranges
from .biases import with_fitting_biases
from .stored import CONVOLUTIONS, DENSE, layer_name

# Operations that only move numbers. Where nothing but int8 convolutions reads their results they move int8 as well:
# depth takes 0.40 instead of 0.50 of fp32's time, guided upsampling 0.49 instead of 0.53, and no photo loses more than
# 0.1 dB. RESIZE_BILINEAR in int8 was no faster and lost up to 3 dB; with all operations in int8 (ADD, MUL, SUM, DIV …)
# the worst photo fell from 34 to 28 dB.
MOVING = ("PAD", "CONCATENATION")

# A tensor with no greater value counts as all zeros: with its own scale, biases of the next layer overflow int32.
_ZERO = 1e-6


def quantise(
    float32: Path, goal: Path, precision: Precision, ranges: Ranges | None = None, kept: Collection[str] = ()
) -> None:
    """Write a file in another precision; the same arguments give the same bytes.

    Args:
        float32: the stage's file in float32.
        goal: the file to write.
        precision: any but fp32 that TFLite has.
        ranges: for precisions that need them: least and greatest value of every tensor of `float32`, by the tensor's
            name, and of the inputs, by the input's name.
        kept: layers that stay in floats, named as `convolutions(float32)` and `dense(float32)` name them. They compute
            in float32; their weights are stored in float16, which costs no quality that can be seen and half the bytes.

    Raises:
        DofkitError: a name in `kept` that the file has not; a range that is missing.
    """
    file = TFLiteFile(float32)
    missing = sorted(set(kept).difference(_names(file, (*CONVOLUTIONS, DENSE))))
    if missing:
        raise DofkitError(
            f"{float32.name} has no layer {missing[0]!r} to keep in floats; run `dofkit sensitivity` again"
        )
    quantizer = require("ai_edge_quantizer.quantizer", "tflite", f"exporting to TFLite in {precision}")
    job: Any = quantizer.Quantizer(str(float32))
    _configure(job, file, precision, kept)
    statistics = _statistics(file, ranges or {}, integer_operations(file, kept)) if precision.needs_ranges else None
    with warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore")
        result = job.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
    goal.write_bytes(with_fitting_biases(file, result.quantized_model))


def _configure(job: Any, file: TFLiteFile, precision: Precision, kept: Collection[str]) -> None:
    """Tell the quantizer what to do with which operation; the last rule that names one holds."""
    operations = require("ai_edge_quantizer.qtyping", "tflite", "quantising").TFLOperationName
    casting = require("ai_edge_quantizer.quantizer", "tflite", "quantising").AlgorithmName.FLOAT_CASTING
    anything = operations.ALL_SUPPORTED

    def pattern(kind: str, without: Collection[str] = ()) -> str:
        return _exactly(name for name in _names(file, (kind,)) if name not in kept and name not in without)

    # What no other rule names: float16 weights, in front of a DEQUANTIZE that runtimes fold away on loading.
    for kind in (*CONVOLUTIONS, DENSE):
        job.add_weight_only_config(".*", operations(kind), 16, algorithm_key=casting)
    match precision:
        case Precision.FP16:
            pass
        case Precision.W8 | Precision.W4:  # the quantizer has no 4-bit depthwise convolution
            bits = 4 if precision is Precision.W4 else 8
            job.add_weight_only_config(pattern("CONV_2D"), anything, bits)
            job.add_weight_only_config(pattern("DEPTHWISE_CONV_2D", _widening(file)), anything, 8)
            job.add_weight_only_config(pattern(DENSE), anything, bits)
        case Precision.DYNAMIC:  # a dynamic depthwise convolution has no fast kernel: twice as slow as in floats
            job.add_dynamic_config(pattern("CONV_2D"), anything, 8)
            job.add_dynamic_config(pattern(DENSE), anything, 8)
        case Precision.W8A8 | Precision.MIXED:
            integers = integer_operations(file, kept)
            names = _exactly(file.name(operation.outputs[0]) for operation in integers)
            # Not `anything`: that includes the quantizer's own operation OUTPUT, which would make an output int8.
            for kind in sorted({operation.kind for operation in integers}):
                job.add_static_config(names, operations(kind), 8, 8)
        case _:
            raise DofkitError(f"TFLite files cannot be quantised to {precision}; see `dofkit export --help`")


def _names(file: TFLiteFile, kinds: Collection[str]) -> list[str]:
    """The convolutions of some kinds, in order of computation."""
    return [layer_name(file, operation) for operation in file.operations if operation.kind in kinds]


def _widening(file: TFLiteFile) -> list[str]:
    """Depthwise convolutions that make several channels of each.

    LiteRT's GPU accelerator (2.3) ends with a segmentation fault on one whose weights alone are int8.
    """
    return [
        layer_name(file, operation)
        for operation in file.operations
        if operation.kind == "DEPTHWISE_CONV_2D"
        and file.shape(operation.inputs[0])[3] != file.shape(operation.outputs[0])[3]
    ]


def integer_operations(file: TFLiteFile, kept: Collection[str] = ()) -> list[TfliteOperation]:
    """The operations that w8a8 computes in integers: convolutions, fully connected layers, and what only those read."""
    chosen = {
        operation
        for operation in file.operations
        if operation.kind in (*CONVOLUTIONS, DENSE) and layer_name(file, operation) not in kept
    }
    consumers: dict[int, list[TfliteOperation]] = {}
    for operation in file.operations:
        for tensor in operation.inputs:
            consumers.setdefault(tensor, []).append(operation)
    # Backwards, so that an operation's consumers are decided before it is.
    for operation in reversed(file.operations):
        readers = consumers.get(operation.outputs[0], [])
        if operation.kind in MOVING and readers and all(reader in chosen for reader in readers):
            chosen.add(operation)
    return [operation for operation in file.operations if operation in chosen]


def _exactly(names: Iterable[str]) -> str:
    """A pattern for the operations whose outputs have these names; the quantizer ends each name with a semicolon."""
    return f"^(?:{'|'.join(map(re.escape, names))});$"


def _statistics(file: TFLiteFile, ranges: Ranges, operations: Iterable[TfliteOperation]) -> dict[str, dict[str, Any]]:
    """The ranges of all that integer operations read and write, as the quantizer takes them.

    Raises:
        DofkitError: the ranges are of another file.
    """
    measured = {file.input_names.get(name, name): ends for name, ends in ranges.items()}
    statistics = {}
    for operation in operations:
        for tensor in (*operation.inputs, *operation.outputs):
            if tensor < 0 or file.constant(tensor) is not None:
                continue
            name = file.name(tensor)
            if name not in measured:
                raise DofkitError(f"{file.path.name}: no range was measured for {name!r}; calibrate on this very file")
            low, high = measured[name]
            if max(abs(low), abs(high)) < _ZERO:
                low, high = 0.0, 1.0
            statistics[name] = {"min": _single(low), "max": _single(high)}
    return statistics


def _single(value: float) -> NDArray[np.float32]:
    """One number for a whole `[N, H, W, C]` tensor, in the quantizer's shape."""
    return np.full((1, 1, 1, 1), value, np.float32)

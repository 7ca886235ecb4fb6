"""Every intermediate result of an exported file, in the order in which it is computed, by its name in the file.

For calibration (their ranges) and for diagnosis (the first that parts from the reference); too slow for anything else.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..coreai import open_program
from ..errors import require
from ..mil import ColorSpace, MLProgram
from ..mil.trace import Trace
from ..pipeline.stage import Stage
from ..quiet import silence
from ..target import Target

Array = NDArray[Any]

_PIXEL_MAX = np.float32(255)


class Tracer(Protocol):
    """One stage of one file, opened so that it gives all it computes."""

    def trace(self, inputs: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
        """Compute the stage.

        Args:
            inputs: as `Session.run` takes them, `[1, C, H, W]` float32.

        Yields:
            Name and value of every tensor that is computed; four-dimensional ones as `[N, C, H, W]` in every target.
            A value is valid until the next one is asked for.
        """
        ...


def open_tracer(stage: Stage, target: Target, path: Path, function: str | None = None) -> Tracer:
    """Open a file of a stage for tracing.

    Raises:
        MissingExtraError: when the runtime is not installed.
        DofkitError: when the runtime cannot read the file.
    """
    match target:
        case Target.ONNX:
            return _OnnxTracer(path)
        case Target.TFLITE:
            return _TFLiteTracer(stage, path)
        case Target.COREML:
            return _ProgramTracer(MLProgram.open(path, function))
        case Target.COREAI:
            return _ProgramTracer(open_program(path, function))


class _OnnxTracer:
    """ONNX Runtime on a copy of the graph whose intermediate results are outputs, unoptimised so that all exist."""

    def __init__(self, path: Path) -> None:
        onnx = require("onnx", "onnx", "tracing an ONNX model")
        ort = require("onnxruntime", "onnx", "tracing an ONNX model")
        model = onnx.load(str(path))
        self._names = [name for node in model.graph.node if node.op_type != "Constant" for name in node.output if name]
        del model.graph.output[:]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self._names)
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        self._session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def trace(self, inputs: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
        yield from zip(self._names, self._session.run(self._names, dict(inputs)), strict=True)


class _TFLiteTracer:
    """LiteRT's interpreter without its delegate, which would fuse results away."""

    def __init__(self, stage: Stage, path: Path) -> None:
        interpreter = require("ai_edge_litert.interpreter", "tflite", "tracing a TFLite model")
        with silence(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "… is intended for debugging purposes only"
            self._interpreter = interpreter.Interpreter(
                model_path=str(path),
                num_threads=2,
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            self._interpreter.allocate_tensors()
        self._runner = self._interpreter.get_signature_runner(stage.value)

    def trace(self, inputs: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
        self._runner(**{name: np.ascontiguousarray(x.transpose(0, 2, 3, 1)) for name, x in inputs.items()})
        for operation in self._interpreter._get_ops_details():
            for index in operation["outputs"]:
                details = self._interpreter._get_tensor_details(index, 0)
                value = _dequantised(self._interpreter.get_tensor(index), details["quantization_parameters"])
                yield details["name"], value.transpose(0, 3, 1, 2) if value.ndim == 4 else value


class _ProgramTracer:
    """The reference evaluator of ML Programs and Core AI's; images go in and come out as in `ProgramSession`."""

    def __init__(self, program: MLProgram) -> None:
        self._program = program
        features = (*self._program.inputs, *self._program.outputs)
        self._pixels = {f.name for f in features if f.color not in (None, ColorSpace.GRAYSCALE_FLOAT16)}

    def trace(self, inputs: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
        given = {name: x * _PIXEL_MAX if name in self._pixels else x for name, x in inputs.items()}
        with closing(Trace(self._program, given)) as trace:
            for operation, values in trace:
                for (name, _), value in zip(operation.outputs, values, strict=True):
                    if isinstance(value, np.ndarray):
                        yield name, value / _PIXEL_MAX if name in self._pixels else value


def _dequantised(values: Array, parameters: Mapping[str, Any]) -> Array:
    """The real numbers that a tensor of integers stands for; floats as they are."""
    if values.dtype.kind == "f" or not len(parameters["scales"]):
        return values
    shape = [1] * values.ndim
    shape[parameters["quantized_dimension"]] = -1
    scale, zero = (np.asarray(parameters[name]).reshape(shape) for name in ("scales", "zero_points"))
    return ((values.astype(np.float64) - zero) * scale).astype(np.float32)

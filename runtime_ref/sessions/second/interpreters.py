"""TFLite files computed a second time by reference kernels: those of LiteRT's interpreter, and of TensorFlow's own."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DofkitError, first_line, require
from ...quiet import silence
from ...stage import OUTPUTS, Stage
from ..opinions import Opinion, OpinionUnavailableError

Array = NDArray[np.floating[Any]]


class InterpreterSession:
    """A stage computed by an interpreter that is already made, through the signature named after the stage."""

    def __init__(self, stage: Stage, interpreter: Any, runtime: str) -> None:
        interpreter.allocate_tensors()
        self._interpreter = interpreter  # owns the memory that the runner's results lie in
        self._runner = interpreter.get_signature_runner(stage.value)
        self._output = OUTPUTS[stage].name
        self.runtime = runtime

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage; see `Session.run`."""
        channel_last = {name: np.ascontiguousarray(x.transpose(0, 2, 3, 1)) for name, x in inputs.items()}
        return self._runner(**channel_last)[self._output].transpose(0, 3, 1, 2)


def litert_reference(stage: Stage, model: Path, threads: int) -> InterpreterSession:
    """LiteRT's interpreter with reference kernels, no delegate.

    Raises:
        MissingExtraError: ai-edge-litert is not installed.
        DofkitError: the file cannot be read.
    """
    package = require("ai_edge_litert", "tflite", "running a TFLite model")
    library = require("ai_edge_litert.interpreter", "tflite", "running a TFLite model")
    runtime = f"LiteRT {getattr(package, '__version__', '')}, reference kernels"
    return _open(library.Interpreter, library.OpResolverType.BUILTIN_REF, stage, model, threads, runtime)


def tensorflow_reference(stage: Stage, model: Path, threads: int) -> InterpreterSession:
    """TensorFlow's own TFLite interpreter with reference kernels, no delegate.

    Raises:
        OpinionUnavailableError: TensorFlow is not installed.
        DofkitError: the file cannot be read.
    """
    opinion = Opinion.TENSORFLOW_REFERENCE
    if importlib.util.find_spec("tensorflow") is None:
        raise OpinionUnavailableError(f"the package tensorflow is not installed; {opinion.remedy}")
    with silence():  # TensorFlow greets at length
        tf = importlib.import_module("tensorflow")
    runtime = f"TensorFlow {tf.__version__} Lite, reference kernels"
    kernels = tf.lite.experimental.OpResolverType.BUILTIN_REF
    return _open(tf.lite.Interpreter, kernels, stage, model, threads, runtime)


def _open(interpreter: Any, kernels: Any, stage: Stage, model: Path, threads: int, runtime: str) -> InterpreterSession:
    try:
        with silence(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TensorFlow's interpreter says that it is deprecated
            opened = interpreter(model_path=str(model), num_threads=threads, experimental_op_resolver_type=kernels)
            return InterpreterSession(stage, opened, runtime)
    except (ValueError, RuntimeError) as error:
        raise DofkitError(f"{runtime} cannot open {model} ({first_line(error)}); export the bundle again") from error

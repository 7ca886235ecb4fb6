"""TFLite files computed a second time by reference kernels: those of LiteRT's interpreter, and of TensorFlow's own."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from pathlib import Path
from typing import Any

from ...errors import DofkitError, first_line, require
from ...pipeline.stage import Stage
from ...quiet import silence
from ..opinions import Opinion, OpinionUnavailableError
from ..tflite import InterpreterSession


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

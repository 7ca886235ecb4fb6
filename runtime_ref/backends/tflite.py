"""TFLite files on LiteRT's interpreter (XNNPACK), and on any other that is already made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DofkitError, first_line, require
from ..pipeline.stage import OUTPUTS, Stage
from ..quiet import silence

Array = NDArray[np.floating[Any]]


class InterpreterSession:
    """A stage computed by a TFLite interpreter, through the signature that is named after the stage."""

    def __init__(self, stage: Stage, interpreter: Any, runtime: str) -> None:
        interpreter.allocate_tensors()
        self._interpreter = interpreter  # owns the memory that the runner's results lie in
        self._runner = interpreter.get_signature_runner(stage.value)
        self._output = OUTPUTS[stage].name
        self.runtime = runtime

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage; see `Session.run`."""
        channel_last = {name: np.ascontiguousarray(x.transpose(0, 2, 3, 1)) for name, x in inputs.items()}
        try:
            return self._runner(**channel_last)[self._output].transpose(0, 3, 1, 2)
        except (
            ValueError,
            RuntimeError,
            KeyError,
            TypeError,
        ) as error:  # a file of other inputs than its manifest says
            raise DofkitError(
                f"{self.runtime} cannot compute {self._output} ({first_line(error)}); export the bundle again"
            ) from error


class TFLiteSession(InterpreterSession):
    """A stage computed by LiteRT's interpreter with its XNNPACK delegate."""

    def __init__(self, stage: Stage, model: Path, threads: int = 2) -> None:
        package = require("ai_edge_litert", "tflite", "running a TFLite model")
        library = require("ai_edge_litert.interpreter", "tflite", "running a TFLite model")
        runtime = f"LiteRT {getattr(package, '__version__', '')}".strip()
        try:
            with silence():  # "Created TensorFlow Lite XNNPACK delegate" is written by C++ to stderr
                super().__init__(stage, library.Interpreter(model_path=str(model), num_threads=threads), runtime)
        except (ValueError, RuntimeError) as error:
            raise DofkitError(f"LiteRT cannot open {model} ({first_line(error)}); export the bundle again") from error

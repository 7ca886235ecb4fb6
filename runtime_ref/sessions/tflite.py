"""TFLite files on LiteRT's interpreter (XNNPACK), called through the signature that is named after the stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DofkitError, first_line, require
from ..quiet import silence
from ..stage import OUTPUTS, Stage

Array = NDArray[np.floating[Any]]


class TFLiteSession:
    """A stage computed by LiteRT."""

    def __init__(self, stage: Stage, model: Path, threads: int = 2) -> None:
        package = require("ai_edge_litert", "tflite", "running a TFLite model")
        interpreter = require("ai_edge_litert.interpreter", "tflite", "running a TFLite model")
        try:
            with silence():  # "Created TensorFlow Lite XNNPACK delegate" is written by C++ to stderr
                self._interpreter = interpreter.Interpreter(model_path=str(model), num_threads=threads)
                self._interpreter.allocate_tensors()
                self._runner = self._interpreter.get_signature_runner(stage.value)
        except (ValueError, RuntimeError) as error:
            raise DofkitError(f"LiteRT cannot open {model} ({first_line(error)}); export the bundle again") from error
        self._output = OUTPUTS[stage].name
        self.runtime = f"LiteRT {getattr(package, '__version__', '')}".strip()

    def run(self, inputs: Mapping[str, Array]) -> Array:
        channel_last = {name: np.ascontiguousarray(x.transpose(0, 2, 3, 1)) for name, x in inputs.items()}
        return self._runner(**channel_last)[self._output].transpose(0, 3, 1, 2)

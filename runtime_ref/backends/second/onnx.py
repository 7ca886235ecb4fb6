"""ONNX files computed a second time, by onnx's own reference operators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DofkitError, first_line, require
from ...pipeline.stage import OUTPUTS, Stage

Array = NDArray[np.floating[Any]]


class OnnxReferenceSession:
    """A stage computed by the definition of each operator, in numpy."""

    def __init__(self, stage: Stage, model: Path) -> None:
        onnx = require("onnx", "onnx", "the reference evaluation of an ONNX model")
        reference = require("onnx.reference", "onnx", "the reference evaluation of an ONNX model")
        try:
            self._evaluator = reference.ReferenceEvaluator(str(model))
        except Exception as error:  # protobuf's errors, and those of unknown operators
            engine = "onnx's reference evaluator"
            raise DofkitError(f"{engine} cannot open {model} ({first_line(error)}); export the bundle again") from error
        self._output = OUTPUTS[stage].name
        self.runtime = f"onnx {onnx.__version__} reference evaluator"

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage; see `Session.run`."""
        return self._evaluator.run([self._output], dict(inputs))[0]

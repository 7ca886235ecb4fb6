"""ONNX files on ONNX Runtime's CPU provider."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DofkitError, first_line, require
from ..pipeline.stage import OUTPUTS, Stage

Array = NDArray[np.floating[Any]]


class OnnxSession:
    """A stage computed by ONNX Runtime.

    Args:
        optimised: False computes node by node: nothing folded, fused or laid out anew.
    """

    def __init__(self, stage: Stage, model: Path, threads: int = 2, optimised: bool = True) -> None:
        ort = require("onnxruntime", "onnx", "running an ONNX model")
        options = ort.SessionOptions()
        if not optimised:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors only
        options.enable_mem_pattern = False  # costs 80 MB where tiles run side by side, and gains no time
        try:
            self._session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own error classes share no public base
            engine = "ONNX Runtime" if optimised else "ONNX Runtime without optimisations"
            raise DofkitError(f"{engine} cannot open {model} ({first_line(error)}); export the bundle again") from error
        self._stage, self._model, self._threads, self._optimised = stage, model, threads, optimised
        self._output = OUTPUTS[stage].name
        self.runtime = f"ONNX Runtime {ort.__version__}" + ("" if optimised else ", unoptimised")

    def run(self, inputs: Mapping[str, Array]) -> Array:
        try:
            return self._session.run([self._output], dict(inputs))[0]
        except Exception as error:  # a file that takes other shapes than its manifest says, for example
            raise DofkitError(
                f"ONNX Runtime cannot compute {self._model} ({first_line(error)}); export the bundle again"
            ) from error

    def side_by_side(self) -> tuple[OnnxSession, int]:
        """The same model once more, on one core a call: ONNX Runtime lets any number of threads call it."""
        return OnnxSession(self._stage, self._model, 1, self._optimised), self._threads

"""ONNX files computed a second time: by ONNX Runtime as the graph stands, and by onnx's own reference operators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DofkitError, require
from ...stage import OUTPUTS, Stage

Array = NDArray[np.floating[Any]]


class UnoptimisedOnnxSession:
    """A stage computed by ONNX Runtime node by node: nothing folded, fused or laid out anew."""

    def __init__(self, stage: Stage, model: Path, threads: int = 2) -> None:
        ort = require("onnxruntime", "onnx", "running an ONNX model")
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors only
        try:
            self._session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own error classes share no public base
            raise _refused("ONNX Runtime without optimisations", model, error) from error
        self._output = OUTPUTS[stage].name
        self.runtime = f"ONNX Runtime {ort.__version__}, unoptimised"

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage; see `Session.run`."""
        return self._session.run([self._output], dict(inputs))[0]


class OnnxReferenceSession:
    """A stage computed by the definition of each operator, in numpy."""

    def __init__(self, stage: Stage, model: Path) -> None:
        onnx = require("onnx", "onnx", "the reference evaluation of an ONNX model")
        reference = require("onnx.reference", "onnx", "the reference evaluation of an ONNX model")
        try:
            self._evaluator = reference.ReferenceEvaluator(str(model))
        except Exception as error:  # protobuf's errors, and those of unknown operators
            raise _refused("onnx's reference evaluator", model, error) from error
        self._output = OUTPUTS[stage].name
        self.runtime = f"onnx {onnx.__version__} reference evaluator"

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage; see `Session.run`."""
        return self._evaluator.run([self._output], dict(inputs))[0]


def _refused(engine: str, model: Path, error: Exception) -> DofkitError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return DofkitError(f"{engine} cannot open {model} ({reason}); export the bundle again")

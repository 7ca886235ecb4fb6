"""ONNX files computed by onnx's own reference operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle, ModelEntry
from ..errors import DofkitError, first_line, require
from ..pipeline.stage import OUTPUTS, Stage
from ..target import Target
from .backend import Arithmetic, Backend, BackendFacts

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


@dataclass(frozen=True)
class OnnxReference(Backend):
    """The definition of ONNX's operators, in numpy."""

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> OnnxReferenceSession:
        """Open an ONNX file; see `Backend.open`."""
        del threads  # numpy's own
        return OnnxReferenceSession(model.stage, self._path(bundle, model))


ONNX_REFERENCE = OnnxReference(
    BackendFacts(
        id="onnx-reference",
        title="ONNX reference evaluator",
        library="onnx",
        targets=(Target.ONNX,),
        device="cpu",
        arithmetic=Arithmetic.IDEAL,
        shows="the graph means the same by the letter of ONNX's specification",
        needs="onnx",
        install="pip install 'dofkit[onnx]'",
        row="{scope}, onnx reference",
        is_reference=True,
    )
)

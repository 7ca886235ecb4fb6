"""ONNX files on ONNX Runtime's CPU provider."""

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
from .backend import Backend, BackendFacts
from .file_tensors import FileTensor, FileTensors, shape_of

Array = NDArray[np.floating[Any]]

_KINDS = {"tensor(float)": "float32"}  # the others are called as numpy calls them


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

    def tensors(self) -> FileTensors:
        """What the file declares."""
        given, got = self._session.get_inputs(), self._session.get_outputs()
        return FileTensors(inputs=tuple(map(_tensor, given)), outputs=tuple(map(_tensor, got)))

    def side_by_side(self) -> tuple[OnnxSession, int]:
        """The same model once more, on one core a call: ONNX Runtime lets any number of threads call it."""
        return OnnxSession(self._stage, self._model, 1, self._optimised), self._threads


def _tensor(argument: Any) -> FileTensor:
    stored: str = argument.type
    kind = _KINDS.get(stored) or stored.removeprefix("tensor(").removesuffix(")")
    return FileTensor(name=argument.name, kind=kind, shape=shape_of(argument.shape))


@dataclass(frozen=True)
class OnnxRuntime(Backend):
    """ONNX Runtime on the CPU."""

    optimised: bool = True

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> OnnxSession:
        """Open an ONNX file; see `Backend.open`."""
        return OnnxSession(model.stage, self._path(bundle, model), threads, self.optimised)


ONNX = (
    OnnxRuntime(
        BackendFacts(
            id="onnxruntime",
            title="ONNX Runtime",
            library="onnxruntime",
            targets=(Target.ONNX,),
            device="cpu",
            delegate="CPU provider",
            shows="apps that run the file with ONNX Runtime compute what PyTorch computes",
            needs="onnxruntime",
            install="pip install 'dofkit[onnx]'",
        )
    ),
    OnnxRuntime(
        BackendFacts(
            id="onnxruntime-unoptimised",
            title="ONNX Runtime, graph unoptimised",
            library="onnxruntime",
            targets=(Target.ONNX,),
            device="cpu",
            delegate="CPU provider, nothing folded or fused",
            shows="the result is the graph's own and not one of ONNX Runtime's rewriting",
            needs="onnxruntime",
            install="pip install 'dofkit[onnx]'",
            row="{scope}, graph unoptimised",
        ),
        optimised=False,
    ),
)

"""TFLite files on interpreters: LiteRT's (XNNPACK, or its reference kernels), and TensorFlow's own.

LiteRT's CompiledModel, with its GPU accelerator, is in `litert_compiled`.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle, ModelEntry
from ..errors import DofkitError, first_line, require
from ..pipeline.session import Session, SessionPool
from ..pipeline.stage import OUTPUTS, Stage
from ..quiet import silence
from ..target import Target
from .backend import Backend, BackendFacts, BackendUnavailableError, installed_version
from .file_tensors import FileTensor, FileTensors, shape_of

Array = NDArray[np.floating[Any]]

PACKAGE = "ai-edge-litert"
INSTALL = "pip install 'dofkit[tflite]'"
_PURPOSE = "running a TFLite model"


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

    def tensors(self) -> FileTensors:
        """What the file's signature declares."""
        given, got = self._runner.get_input_details(), self._runner.get_output_details()
        return FileTensors(inputs=tensors_of(given), outputs=tensors_of(got))


def tensors_of(details: Mapping[str, Mapping[str, Any]]) -> tuple[FileTensor, ...]:
    """Tensors of a signature, from what a runtime tells of each."""
    return tuple(
        FileTensor(name=name, kind=np.dtype(facts["dtype"]).name, shape=shape_of(map(int, facts["shape"])))
        for name, facts in details.items()
    )


class TFLiteSession:
    """A stage computed by LiteRT's interpreter with its XNNPACK delegate, or without it by reference kernels."""

    def __init__(self, stage: Stage, model: Path, threads: int = 2, reference: bool = False) -> None:
        package = require("ai_edge_litert", "tflite", _PURPOSE)
        self._stage, self._model, self._threads, self._reference = stage, model, threads, reference
        title = f"LiteRT {getattr(package, '__version__', '')}".strip()
        self.runtime = f"{title}, reference kernels" if reference else title
        self._opened: InterpreterSession | None = self._open()

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage; see `Session.run`."""
        return self._ready().run(inputs)

    def tensors(self) -> FileTensors:
        """See `InterpreterSession.tensors`."""
        return self._ready().tensors()

    def side_by_side(self) -> tuple[Session, int]:
        """The same model on an interpreter of one core for each thread: an interpreter takes one call at a time."""
        if self._threads == 1:
            return self, 1
        self._opened = None  # 12 to 36 MB for the rendering stages; whoever computes side by side seldom needs it again
        sessions = [TFLiteSession(self._stage, self._model, 1, self._reference) for _ in range(self._threads)]
        return SessionPool(sessions), self._threads

    def _ready(self) -> InterpreterSession:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> InterpreterSession:
        library = require("ai_edge_litert.interpreter", "tflite", _PURPOSE)
        options = {"experimental_op_resolver_type": library.OpResolverType.BUILTIN_REF} if self._reference else {}
        try:
            with silence():  # "Created TensorFlow Lite XNNPACK delegate" is written by C++ to stderr
                interpreter = library.Interpreter(model_path=str(self._model), num_threads=self._threads, **options)
                return InterpreterSession(self._stage, interpreter, self.runtime)
        except (ValueError, RuntimeError) as error:
            engine = self.runtime if self._reference else "LiteRT"
            raise DofkitError(
                f"{engine} cannot open {self._model} ({first_line(error)}); export the bundle again"
            ) from error


class TensorFlowSession(InterpreterSession):
    """A stage computed by TensorFlow's own TFLite interpreter with reference kernels, no delegate."""

    def __init__(self, stage: Stage, model: Path, threads: int = 2) -> None:
        with silence():  # TensorFlow greets at length
            tf = importlib.import_module("tensorflow")
        runtime = f"TensorFlow {tf.__version__} Lite, reference kernels"
        kernels = tf.lite.experimental.OpResolverType.BUILTIN_REF
        try:
            with silence(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it says that it is deprecated
                interpreter = tf.lite.Interpreter(
                    model_path=str(model), num_threads=threads, experimental_op_resolver_type=kernels
                )
                super().__init__(stage, interpreter, runtime)
        except (ValueError, RuntimeError) as error:
            raise DofkitError(
                f"{runtime} cannot open {model} ({first_line(error)}); export the bundle again"
            ) from error


@dataclass(frozen=True)
class LiteRT(Backend):
    """LiteRT's interpreter on the CPU."""

    reference: bool = False

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> TFLiteSession:
        """Open a TFLite file; see `Backend.open`."""
        return TFLiteSession(model.stage, self._path(bundle, model), threads, self.reference)


@dataclass(frozen=True)
class TensorFlow(Backend):
    """TensorFlow's TFLite interpreter on the CPU."""

    def version(self) -> str:
        """TensorFlow's, under either of its distributions' names; see `Backend.version`."""
        return super().version() or installed_version("tensorflow-cpu")

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> TensorFlowSession:
        """Open a TFLite file; see `Backend.open`."""
        if (absent := self.available()) is not None:
            raise BackendUnavailableError(str(absent))
        return TensorFlowSession(model.stage, self._path(bundle, model), threads)


LITERT = LiteRT(
    BackendFacts(
        id="litert",
        title="LiteRT",
        library="ai_edge_litert",
        package=PACKAGE,
        targets=(Target.TFLITE,),
        device="cpu",
        delegate="XNNPACK",
        shows="apps that run the file with LiteRT on the CPU compute what PyTorch computes",
        needs=PACKAGE,
        install=INSTALL,
    )
)
LITERT_REFERENCE = LiteRT(
    BackendFacts(
        id="litert-reference",
        title="LiteRT, reference kernels",
        library="ai_edge_litert",
        package=PACKAGE,
        targets=(Target.TFLITE,),
        device="cpu",
        delegate="reference kernels",
        shows="the result does not depend on XNNPACK",
        needs=PACKAGE,
        install=INSTALL,
        row="{scope}, reference kernels",
    ),
    reference=True,
)
TENSORFLOW_REFERENCE = TensorFlow(
    BackendFacts(
        id="tensorflow-reference",
        title="TensorFlow Lite, reference kernels",
        library="tensorflow",
        targets=(Target.TFLITE,),
        device="cpu",
        delegate="reference kernels",
        shows="another library reads the file in the same way",
        needs="tensorflow",
        install="pip install 'dofkit[tensorflow]'",
        row="{scope}, TensorFlow reference kernels",
    )
)

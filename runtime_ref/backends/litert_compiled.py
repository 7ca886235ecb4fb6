"""TFLite files computed by LiteRT's CompiledModel: with 16-bit floats forced on the CPU, and on the GPU accelerator.

The GPU is whatever Vulkan, Metal or Direct3D offers; Mesa's software adapter computes the same shaders on the CPU.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle, ModelEntry
from ..errors import DofkitError, require
from ..pipeline.stage import OUTPUTS, Stage
from ..quiet import silence, stderr_kept
from ..target import Target
from .backend import Arithmetic, Backend, BackendFacts, BackendUnavailableError, NotRun
from .file_tensors import FileTensors
from .tflite import INSTALL, PACKAGE, tensors_of

Array = NDArray[np.floating[Any]]

_FORCE_FP16 = 4  # XNNPACK's flag of that name: fails where it cannot, other than its hint (2)
# What LiteRT writes to stderr, and nowhere else.
_NO_GPU = re.compile(r"No adapters found|GPU accelerator could not be loaded")
_WHY_NO_GPU = re.compile(r"^Warning: (.*(?:Couldn't load|required).*)", re.MULTILINE)
_ADAPTER = re.compile(r"Selected adapter: (.+?), arch=")
_ATTEMPTS = 2  # a software GPU compiles shaders for a minute or more in the first run, and has them in the second
_TIMED_OUT = "code=7,"  # in its exceptions: kLiteRtStatusErrorTimeoutExpired
_UNSUPPORTED = re.compile(r"not supported by GPU delegate:\n(.+?)\n\d+ operations will run", re.DOTALL)


class CompiledSession:
    """A stage computed by a compiled model, through the signature that is named after the stage."""

    def __init__(self, stage: Stage, model: Any, runtime: str) -> None:
        self.runtime = runtime
        self._model, self._signature, self._output = model, stage.value, OUTPUTS[stage].name
        names = model.get_signature_list()[stage.value]
        self._inputs = {name: model.create_input_buffer_by_name(stage.value, name) for name in names["inputs"]}
        self._output_names: list[str] = names["outputs"]
        self._shape = tuple(model.get_output_tensor_details(stage.value)[self._output]["shape"])

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage; see `Session.run`.

        Raises:
            BackendUnavailableError: the GPU is too slow for LiteRT.
            DofkitError: LiteRT gave up.
        """
        values = {name: np.ascontiguousarray(x.transpose(0, 2, 3, 1), np.float32) for name, x in inputs.items()}
        for _ in range(_ATTEMPTS):
            try:
                output = self._run_once(values)
            except RuntimeError as error:
                if _TIMED_OUT not in str(error):
                    raise DofkitError(f"{self.runtime} gave up on {self._signature} ({_reason(error)})") from error
            else:
                return output.reshape(self._shape).transpose(0, 3, 1, 2)
        raise BackendUnavailableError(
            f"{self.runtime} takes more than the 120 s that LiteRT waits; use a faster machine"
        )

    def tensors(self) -> FileTensors:
        """What the file's signature declares."""
        given = self._model.get_input_tensor_details(self._signature)
        got = self._model.get_output_tensor_details(self._signature)
        return FileTensors(inputs=tensors_of(given), outputs=tensors_of(got))

    def _run_once(self, values: Mapping[str, Array]) -> Array:
        for name, buffer in self._inputs.items():
            buffer.write(values[name])
        # Of its own every time: one whose reading failed stays locked.
        outputs = {n: self._model.create_output_buffer_by_name(self._signature, n) for n in self._output_names}
        self._model.run_by_name(self._signature, self._inputs, outputs)
        return outputs[self._output].read(int(np.prod(self._shape)), np.float32)


@dataclass(frozen=True)
class LiteRTCpuFp16(Backend):
    """What is float computed in 16-bit floats by XNNPACK (emulated where the CPU has none)."""

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> CompiledSession:
        """Open a TFLite file; see `Backend.open`."""
        return cpu_fp16(model.stage, self._path(bundle, model), threads)


def cpu_fp16(stage: Stage, path: Path, threads: int) -> CompiledSession:
    """A file on the CPU with 16-bit floats forced; see `LiteRTCpuFp16`."""
    library = _library(FP16.title)
    options = library.Options(cpu_options=library.CpuOptions(num_threads=threads, xnnpack_flags=_FORCE_FP16))
    try:
        compiled, _ = _compile(library, path, options)
    except _RefusalError as error:
        raise DofkitError(f"LiteRT cannot open {path} ({error.reason}); export the bundle again") from error
    return CompiledSession(stage, compiled, f"LiteRT {_version()} on the CPU, fp16 forced")


@dataclass(frozen=True)
class LiteRTGpu(Backend):
    """LiteRT's GPU accelerator, every operation of the file on it. It can crash: see `own_process`.

    Attributes:
        half: compute in 16-bit floats, the accelerator's default, or in 32-bit floats.
    """

    half: bool

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> CompiledSession:
        """Open a TFLite file; operations that the accelerator does not take are named. See `Backend.open`."""
        del threads  # the GPU's own
        path = self._path(bundle, model)
        library = _library(self.facts.title)
        options = library.Options(
            hardware_accelerators=library.HardwareAccelerator.GPU,
            gpu_options=library.GpuOptions(enforce_f32=not self.half),
        )
        try:
            compiled, said = _compile(library, path, options)
        except _RefusalError as error:
            raise self._refused(path, error) from error
        adapter = _ADAPTER.search(said)
        device = adapter[1] if adapter else "the GPU"
        runtime = f"LiteRT {_version()} on {device}, {'fp16' if self.half else 'fp32'}"
        return CompiledSession(model.stage, compiled, runtime)

    def _refused(self, path: Path, error: _RefusalError) -> DofkitError:
        """What LiteRT's refusal means: there is no GPU, or it does not take the file."""
        if _NO_GPU.search(error.said):
            why = _WHY_NO_GPU.search(error.said)
            cause = f" ({why[1]})" if why else ""  # said once a process
            return BackendUnavailableError(str(NotRun(f"no GPU adapter was found{cause}", self.facts.remedy)))
        unsupported = _UNSUPPORTED.search(error.said)
        reason = "; ".join(line.rstrip(".") for line in unsupported[1].splitlines()) if unsupported else error.reason
        return DofkitError(f"LiteRT's GPU accelerator does not take {path}: {reason}")


class _RefusalError(Exception):
    """LiteRT did not compile a file: why, and all that it said on stderr."""

    def __init__(self, error: Exception, said: str) -> None:
        self.reason = _reason(error)
        self.said = said
        super().__init__(self.reason)


def _reason(error: Exception) -> str:
    """What LiteRT's exception says: its last line, those before tell through which source files it went."""
    return (str(error).splitlines() or [type(error).__name__])[-1].removeprefix("└ ")


def _library(wanted: str) -> ModuleType:
    """The module that has CompiledModel and its options."""
    module = require("ai_edge_litert.compiled_model", "tflite", "running a TFLite model")
    if not hasattr(module, "Options"):
        raise BackendUnavailableError(
            f"{wanted} needs a newer LiteRT than {_version()}; run: pip install --upgrade ai-edge-litert"
        )
    return module


def _version() -> str:
    return getattr(require("ai_edge_litert", "tflite", "running a TFLite model"), "__version__", "")


def _compile(library: ModuleType, path: Path, options: Any) -> tuple[Any, str]:
    """The compiled model, and what LiteRT said on stderr meanwhile.

    Raises:
        _RefusalError: LiteRT refused.
    """
    with silence(), stderr_kept() as said:
        try:
            model = library.CompiledModel.from_file(str(path), options=options)
        except (RuntimeError, ValueError) as error:
            raise _RefusalError(error, said()) from error
        return model, said()


FP16 = BackendFacts(
    id="litert-fp16",
    title="LiteRT on the CPU, fp16 forced",
    library="ai_edge_litert",
    package=PACKAGE,
    targets=(Target.TFLITE,),
    device="cpu",
    delegate="XNNPACK",
    arithmetic=Arithmetic.FP16,
    shows="phones whose CPU computes in 16-bit floats keep the quality",
    needs=f"{PACKAGE} >= 2.3",
    install=INSTALL,
    row="{scope}, CPU fp16",
)


def _gpu(number: str, shows: str, arithmetic: Arithmetic) -> LiteRTGpu:
    facts = BackendFacts(
        id=f"litert-gpu-{number}",
        title=f"LiteRT on the GPU, {number}",
        library="ai_edge_litert",
        package=PACKAGE,
        targets=(Target.TFLITE,),
        device="gpu",
        delegate="GPU accelerator",
        arithmetic=arithmetic,
        shows=shows,
        needs="a GPU, or Mesa's software one",
        install=INSTALL,
        remedy="install mesa-vulkan-drivers >= 25, which computes on the CPU, or use a machine with a GPU",
        row=f"{{scope}}, GPU {number}",
    )
    return LiteRTGpu(facts, half=arithmetic is Arithmetic.FP16)


COMPILED = (
    LiteRTCpuFp16(FP16),
    _gpu("fp32", "the GPU accelerator takes every operation and computes the same", Arithmetic.STORED),
    _gpu("fp16", "the same in 16-bit floats, which is the accelerator's default", Arithmetic.FP16),
)

"""TFLite files computed by LiteRT's CompiledModel: with 16-bit floats forced on the CPU, and on the GPU accelerator.

The GPU is whatever Vulkan, Metal or Direct3D offers; Mesa's software adapter computes the same shaders on the CPU.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DofkitError, require
from ...pipeline.stage import OUTPUTS, Stage
from ...quiet import silence
from ..opinions import Opinion, OpinionUnavailableError

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
            OpinionUnavailableError: the GPU is too slow for LiteRT.
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
        raise OpinionUnavailableError(
            f"{self.runtime} takes more than the 120 s that LiteRT waits; use a faster machine"
        )

    def _run_once(self, values: Mapping[str, Array]) -> Array:
        for name, buffer in self._inputs.items():
            buffer.write(values[name])
        # Of its own every time: one whose reading failed stays locked.
        outputs = {n: self._model.create_output_buffer_by_name(self._signature, n) for n in self._output_names}
        self._model.run_by_name(self._signature, self._inputs, outputs)
        return outputs[self._output].read(int(np.prod(self._shape)), np.float32)


def cpu_fp16(stage: Stage, path: Path, threads: int) -> CompiledSession:
    """The file on the CPU, what is float computed in 16-bit floats by XNNPACK (emulated where the CPU has none).

    Raises:
        OpinionUnavailableError: LiteRT is too old.
        MissingExtraError: ai-edge-litert is not installed.
        DofkitError: LiteRT does not take the file.
    """
    library = _library(Opinion.LITERT_FP16)
    options = library.Options(cpu_options=library.CpuOptions(num_threads=threads, xnnpack_flags=_FORCE_FP16))
    try:
        model, _ = _compile(library, path, options)
    except _RefusalError as error:
        raise DofkitError(f"LiteRT cannot open {path} ({error.reason}); export the bundle again") from error
    return CompiledSession(stage, model, f"LiteRT {_version()} on the CPU, fp16 forced")


def gpu(stage: Stage, path: Path, half: bool) -> CompiledSession:
    """The file on LiteRT's GPU accelerator, every operation of it. It can crash: see `isolated.py`.

    Args:
        half: compute in 16-bit floats, the accelerator's default, or in 32-bit floats.

    Raises:
        OpinionUnavailableError: no GPU and no software adapter is found, or LiteRT is too old.
        MissingExtraError: ai-edge-litert is not installed.
        DofkitError: the accelerator does not take the file; the operations are named.
    """
    opinion = Opinion.LITERT_GPU_FP16 if half else Opinion.LITERT_GPU_FP32
    library = _library(opinion)
    options = library.Options(
        hardware_accelerators=library.HardwareAccelerator.GPU,
        gpu_options=library.GpuOptions(enforce_f32=not half),
    )
    try:
        model, said = _compile(library, path, options)
    except _RefusalError as error:
        if _NO_GPU.search(error.said):
            why = _WHY_NO_GPU.search(error.said)
            cause = f" ({why[1]})" if why else ""  # said once a process
            raise OpinionUnavailableError(f"no GPU adapter was found{cause}; {opinion.remedy}") from error
        unsupported = _UNSUPPORTED.search(error.said)
        reason = "; ".join(line.rstrip(".") for line in unsupported[1].splitlines()) if unsupported else error.reason
        raise DofkitError(f"LiteRT's GPU accelerator does not take {path}: {reason}") from error
    adapter = _ADAPTER.search(said)
    runtime = f"LiteRT {_version()} on {adapter[1] if adapter else 'the GPU'}, {'fp16' if half else 'fp32'}"
    return CompiledSession(stage, model, runtime)


class _RefusalError(Exception):
    """LiteRT did not compile a file: why, and all that it said on stderr."""

    def __init__(self, error: Exception, said: str) -> None:
        self.reason = _reason(error)
        self.said = said
        super().__init__(self.reason)


def _reason(error: Exception) -> str:
    """What LiteRT's exception says: its last line, those before tell through which source files it went."""
    return (str(error).splitlines() or [type(error).__name__])[-1].removeprefix("└ ")


def _library(opinion: Opinion) -> ModuleType:
    """The module that has CompiledModel and its options."""
    module = require("ai_edge_litert.compiled_model", "tflite", "running a TFLite model")
    if not hasattr(module, "Options"):
        raise OpinionUnavailableError(
            f"{opinion.title} needs a newer LiteRT than {_version()}; run: pip install --upgrade ai-edge-litert"
        )
    return module


def _version() -> str:
    return getattr(require("ai_edge_litert", "tflite", "running a TFLite model"), "__version__", "")


def _compile(library: ModuleType, path: Path, options: Any) -> tuple[Any, str]:
    """The compiled model, and what LiteRT said on stderr meanwhile.

    Raises:
        _RefusalError: LiteRT refused.
    """
    with tempfile.TemporaryFile() as log:

        def said() -> str:
            log.seek(0)
            return log.read().decode(errors="replace")

        try:
            with silence(), _stderr_into(log):
                model = library.CompiledModel.from_file(str(path), options=options)
        except (RuntimeError, ValueError) as error:
            raise _RefusalError(error, said()) from error
        return model, said()


@contextmanager
def _stderr_into(log: IO[bytes]) -> Iterator[None]:
    """Send to a file what this process writes to descriptor 2, from C++ too."""
    kept = os.dup(2)
    os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)

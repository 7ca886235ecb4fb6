"""Core AI models: computed by Apple's own runtime, which exists on Linux too, and by the evaluator in numpy.

On a Mac the system's Core AI computes, too, on each kind of compute unit; elsewhere those are NOT RUN.
"""

from __future__ import annotations

import asyncio
import os
import sys
import weakref
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..bundle import Bundle, ModelEntry
from ..coreai import Asset, open_program
from ..enums import TitledEnum
from ..errors import DofkitError, first_line, require
from ..pipeline.stage import OUTPUTS, Stage
from ..quiet import silence
from ..target import Target
from .backend import Arithmetic, Backend, BackendFacts, BackendUnavailableError, NotRun, installed_version
from .file_tensors import FileTensor, FileTensors
from .mil import ProgramSession, program_tensor

Array = NDArray[np.floating[Any]]

LIBRARY, PACKAGE = "coreai", "coreai-core"
INSTALL = "pip install 'dofkit[coreai]'"
NEEDS = f"{PACKAGE} (Python >= 3.11; Linux x86-64, macOS 26 on Apple silicon)"
EVALUATOR = "Core AI evaluator (reference, not Apple's)"
_OS_RUNTIME = "USE_OS_COREAI"  # the environment variable that lets coreai-core ask macOS' own Core AI

NO_SYSTEM = NotRun(
    "the system's Core AI exists on macOS 27 only",
    "check on a Mac, too; Apple's CPU runtime and the evaluator compute elsewhere",
)
NO_BUFFERS = NotRun(
    "Apple's runtime takes camera buffers on macOS only",
    "check on a Mac, too; the evaluator computes elsewhere",
)


class PreferredUnit(TitledEnum):
    """What the system's Core AI may prefer; the value is the name of coreai-core's function for it."""

    CPU = "cpu", "CPU"
    GPU = "gpu", "GPU"
    NEURAL_ENGINE = "neural_engine", "Neural Engine"


class CoreAISession:
    """A stage computed by Apple's runtime.

    Args:
        unit: of the system's Core AI; None is the CPU runtime inside coreai-core.

    Raises:
        MissingExtraError: coreai-core is not installed.
        DofkitError: the asset is damaged, or the runtime does not take it.
    """

    def __init__(self, stage: Stage, asset: Path, function: str | None, unit: PreferredUnit | None = None) -> None:
        # The reader compares the hash: the runtime itself computes damaged programs without a word.
        opened = Asset(asset)
        given = opened.features(opened.function(function).name)["inputs"]
        self._buffers = {feature.name: feature for feature in given if feature.color is not None}
        if self._buffers and not _runtime().HAS_IMAGE_SUPPORT:
            raise BackendUnavailableError(str(NO_BUFFERS))
        self._output = OUTPUTS[stage].name
        self._stack, self._loop = AsyncExitStack(), asyncio.new_event_loop()
        try:
            with silence():
                self._function = self._loop.run_until_complete(self._load(asset, function, unit))
        except DofkitError:
            raise
        except Exception as error:  # RuntimeError with the compiler's words
            self._loop.close()
            raise DofkitError(f"Core AI cannot load {asset} ({first_line(error)}); export the bundle again") from error
        weakref.finalize(self, _close, self._loop, self._stack)
        where = f" ({unit.title})" if unit else ""
        self.runtime = f"{PACKAGE} {installed_version(PACKAGE)}{where}"

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage; see `Session.run`."""
        given = {name: self._native(name, np.asarray(values, np.float32)) for name, values in inputs.items()}
        outputs = self._loop.run_until_complete(self._function(given))
        return outputs[self._output].numpy().astype(np.float32)  # a copy: the runtime uses its buffers again

    def tensors(self) -> FileTensors:
        """What the model declares, as the runtime reads it."""
        described = self._function.desc
        given = (
            program_tensor(self._buffers[name])
            if name in self._buffers
            else _tensor(name, described.input_descriptor(name))
            for name in described.input_names
        )
        got = (_tensor(name, described.output_descriptor(name)) for name in described.output_names)
        return FileTensors(inputs=tuple(given), outputs=tuple(got))

    def _native(self, name: str, values: Array) -> Any:
        """An input as the runtime takes it; pictures are rounded to 8 bits on the way, as in an app."""
        if name in self._buffers:
            return Image.fromarray(np.rint(values[0].transpose(1, 2, 0) * 255).clip(0, 255).astype(np.uint8))
        return _runtime().NDArray(np.ascontiguousarray(values))

    async def _load(self, asset: Path, function: str | None, unit: PreferredUnit | None) -> Any:
        authoring = require("coreai.authoring.asset", "coreai", "running a Core AI model")
        options = None if unit is None else _preferring(unit)
        opened = authoring.AIModelAsset.load(asset).executable(options)
        model = await self._stack.enter_async_context(opened)
        return model.load_function(function or "main")


def _close(loop: asyncio.AbstractEventLoop, stack: AsyncExitStack) -> None:
    """Let the runtime go, and the folder that it compiled into; left to the interpreter's end it aborts."""
    if not loop.is_closed():
        loop.run_until_complete(stack.aclose())
        loop.close()


def _tensor(name: str, descriptor: Any) -> FileTensor:
    return FileTensor(name=name, kind=str(descriptor.dtype), shape=tuple(int(size) for size in descriptor.shape))


def _runtime() -> Any:
    return require("coreai.runtime", "coreai", "running a Core AI model")


def _preferring(unit: PreferredUnit) -> Any:
    runtime = _runtime()
    if not runtime.SpecializationOptions.is_supported():
        raise BackendUnavailableError(f"{PACKAGE} was loaded without {_OS_RUNTIME}=1; set it before dofkit starts")
    if unit is PreferredUnit.CPU:
        return runtime.SpecializationOptions.cpu_only()
    kind = getattr(runtime.ComputeUnitKind, unit.value)()
    return runtime.SpecializationOptions.from_preferred_compute_unit_kind(kind)


@dataclass(frozen=True)
class CoreAIRuntime(Backend):
    """Apple's CPU runtime inside coreai-core, the same on Linux and macOS."""

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> CoreAISession:
        """Open a Core AI model; see `Backend.open`."""
        del threads  # the runtime's own
        return CoreAISession(model.stage, self._path(bundle, model), model.function)


@dataclass(frozen=True)
class SystemCoreAI(Backend):
    """macOS' own Core AI, on one kind of compute unit."""

    unit: PreferredUnit

    def available(self) -> NotRun | None:
        """Nothing but macOS has it; see `Backend.available`."""
        return super().available() if sys.platform == "darwin" else NO_SYSTEM

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> CoreAISession:
        """Open a Core AI model; see `Backend.open`."""
        del threads
        path = self._path(bundle, model)
        if sys.platform != "darwin":
            raise BackendUnavailableError(str(NO_SYSTEM))
        os.environ.setdefault(_OS_RUNTIME, "1")  # read when coreai-core is imported: this process is this backend's
        return CoreAISession(model.stage, path, model.function, self.unit)


@dataclass(frozen=True)
class CoreAIEvaluator(Backend):
    """`runtime_ref.coreai`: numpy, from the program as coreai-core's bindings read it."""

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> ProgramSession:
        """Open a Core AI model; see `Backend.open`."""
        del threads  # numpy's own
        return ProgramSession(model.stage, open_program(self._path(bundle, model), model.function), EVALUATOR)


def _on(unit: PreferredUnit) -> SystemCoreAI:
    device = unit.value.replace("_", " ")
    facts = BackendFacts(
        id=f"coreai-{device.replace(' ', '-')}",
        title=f"Core AI ({unit.title})",
        library=LIBRARY,
        package=PACKAGE,
        targets=(Target.COREAI,),
        device=device,
        arithmetic=Arithmetic.DECLARED,
        shows=f"the system's own runtime computes the same on the {unit.title}",
        needs=f"a Mac with macOS 27, {PACKAGE}",
        install=INSTALL,
        remedy=NO_SYSTEM.remedy,
        row=f"{{scope}} on {unit.title}",
        is_routine=True,
    )
    return SystemCoreAI(facts, unit)


COREAI = (
    CoreAIRuntime(
        BackendFacts(
            id="coreai",
            title="Core AI's CPU runtime",
            library=LIBRARY,
            package=PACKAGE,
            targets=(Target.COREAI,),
            device="cpu",
            arithmetic=Arithmetic.DECLARED,
            shows="Apple's own code computes the same from the saved model",
            needs=NEEDS,
            install=INSTALL,
            on_one_core=True,
        )
    ),
    CoreAIEvaluator(
        BackendFacts(
            id="coreai-reference",
            title="Core AI evaluator",
            library=LIBRARY,
            package=PACKAGE,
            targets=(Target.COREAI,),
            device="cpu",
            arithmetic=Arithmetic.DECLARED,
            shows="the saved program means what PyTorch computes, by the definition of each operation",
            needs=NEEDS,
            install=INSTALL,
            row="{scope}, evaluator",
            is_reference=True,
            is_routine=True,
        )
    ),
    *(_on(unit) for unit in PreferredUnit),
)

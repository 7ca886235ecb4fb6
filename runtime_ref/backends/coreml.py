"""The Core ML runtime, which Apple ships with macOS and iOS only. Elsewhere `mil.py` evaluates the saved program."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..bundle import Bundle, ModelEntry
from ..errors import DofkitError, first_line, require
from ..mil import ColorSpace, Feature, MLProgram
from ..pipeline.stage import OUTPUTS, Stage
from ..quiet import silence
from ..target import Target
from .backend import Arithmetic, Backend, BackendFacts, BackendUnavailableError, NotRun
from .file_tensors import FileTensors
from .mil import program_tensors

Array = NDArray[np.floating[Any]]

NO_RUNTIME = NotRun(
    "Core ML's runtime exists on macOS only",
    "check on a Mac, too; figures from elsewhere are a reference evaluation of the program",
)


def has_runtime() -> bool:
    """Whether this system has Core ML."""
    return sys.platform == "darwin"


class ComputeUnit(Enum):
    """What Core ML may compute on; the value is coremltools' name of it."""

    CPU = "CPU_ONLY"
    GPU = "CPU_AND_GPU"
    NEURAL_ENGINE = "CPU_AND_NE"

    @property
    def title(self) -> str:
        """The name people know."""
        return {"CPU": "CPU", "GPU": "GPU", "NEURAL_ENGINE": "Neural Engine"}[self.name]


class CoreMLSession:
    """A stage computed by Core ML on a Mac, on one kind of compute unit.

    Raises:
        MissingExtraError: coremltools is not installed.
        DofkitError: Core ML does not accept the package.
    """

    def __init__(self, stage: Stage, package: Path, function: str | None, unit: ComputeUnit) -> None:
        self.runtime = f"Core ML ({unit.title})"
        program = MLProgram.open(package, function)
        self._features = {feature.name: feature for feature in program.inputs}
        self._tensors = program_tensors(program)
        self._output = OUTPUTS[stage].name
        with silence():
            ct = require("coremltools", "coreml", "running a Core ML package")
            try:
                self._model = ct.models.MLModel(
                    str(package), compute_units=ct.ComputeUnit[unit.value], function_name=function
                )
            except Exception as error:  # Core ML's errors arrive as RuntimeError with its text
                raise DofkitError(
                    f"Core ML cannot load {package} ({first_line(error)}); export the bundle again"
                ) from error

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage; see `Session.run`. Images are rounded to 8 bits on the way, as in an app."""
        given = {name: _native(self._features[name], value) for name, value in inputs.items()}
        output = self._model.predict(given)[self._output]
        if isinstance(output, Image.Image):
            pixels = np.asarray(output.convert("RGB") if output.mode == "RGBA" else output, np.float32)
            planes = pixels.transpose(2, 0, 1) / np.float32(255) if pixels.ndim == 3 else pixels[None]
            return planes[None]
        return np.asarray(output, np.float32)

    def tensors(self) -> FileTensors:
        """What the package declares."""
        return self._tensors


@dataclass(frozen=True)
class CoreML(Backend):
    """Core ML on a Mac, on one kind of compute unit."""

    unit: ComputeUnit

    def available(self) -> NotRun | None:
        """Nothing but macOS has it; see `Backend.available`."""
        return super().available() if has_runtime() else NO_RUNTIME

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> CoreMLSession:
        """Open a Core ML package; see `Backend.open`."""
        del threads  # Core ML's own
        path = self._path(bundle, model)
        if not has_runtime():
            raise BackendUnavailableError(str(NO_RUNTIME))
        return CoreMLSession(model.stage, path, model.function, self.unit)


def _on(unit: ComputeUnit, device: str) -> CoreML:
    facts = BackendFacts(
        id=f"coreml-{device.replace(' ', '-')}",
        title=f"Core ML ({unit.title})",
        library="coremltools",
        targets=(Target.COREML,),
        device=device,
        arithmetic=Arithmetic.DECLARED,
        shows=f"Apple's own runtime computes the same on the {unit.title}",
        needs="a Mac, coremltools",
        install="pip install 'dofkit[coreml]'",
        remedy=NO_RUNTIME.remedy,
        row=f"{{scope}} on {unit.title}",
        is_routine=True,
    )
    return CoreML(facts, unit)


COREML = (
    _on(ComputeUnit.CPU, "cpu"),
    _on(ComputeUnit.GPU, "gpu"),
    _on(ComputeUnit.NEURAL_ENGINE, "neural engine"),
)


def _native(feature: Feature, value: Array) -> Any:
    """A stage's input as Core ML's Python interface takes it."""
    if feature.color is None:
        return np.asarray(value, np.float32)
    if feature.color is ColorSpace.GRAYSCALE_FLOAT16:
        return Image.fromarray(np.asarray(value[0, 0], np.float32))
    return Image.fromarray(np.rint(value[0].transpose(1, 2, 0) * 255).clip(0, 255).astype(np.uint8))

"""Core ML packages anywhere: the saved ML Program, evaluated by `runtime_ref.mil`. Not the Core ML runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle, ModelEntry
from ..errors import DofkitError
from ..mil import ColorSpace, Feature, MLProgram, Numerics
from ..pipeline.stage import OUTPUTS, Stage
from ..target import Target
from .backend import Arithmetic, Backend, BackendFacts
from .file_tensors import FileTensor, FileTensors

Array = NDArray[np.floating[Any]]

RUNTIME = "ML Program evaluator (reference, not Core ML)"
_PIXEL_MAX = np.float32(255)


class ProgramSession:
    """A stage computed by the evaluator, every result rounded to the type that the program declares.

    Images go in and come out unrounded (pixel values as an 8-bit buffer would hold them, but not cut to 8 bits), so
    that what is compared is the program and not the buffer.
    """

    def __init__(self, stage: Stage, program: MLProgram, runtime: str) -> None:
        self.program = program
        self.runtime = runtime
        self._inputs = {feature.name: feature for feature in self.program.inputs}
        names = {feature.name: feature for feature in self.program.outputs}
        wanted = OUTPUTS[stage].name
        if wanted not in names:
            raise DofkitError(f"{program.package.path} gives {', '.join(names)}, not {wanted}; export the bundle again")
        self._output = names[wanted]

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage; see `Session.run`.

        Raises:
            DofkitError: an operation made infinities or NaN out of finite numbers; it is named.
        """
        pixels = {
            name: value * _PIXEL_MAX if name in self._inputs and _eight_bit(self._inputs[name]) else value
            for name, value in inputs.items()
        }
        evaluation = self.program.run(pixels)
        if evaluation.non_finite:
            raise DofkitError(f"numbers stop being finite at {evaluation.non_finite[0]}")
        value = evaluation.values[self._output.name].astype(np.float32, copy=False)
        return value / _PIXEL_MAX if _eight_bit(self._output) else value

    def tensors(self) -> FileTensors:
        """What the package declares."""
        return program_tensors(self.program)


class MilSession(ProgramSession):
    """A stage of a Core ML package."""

    def __init__(
        self, stage: Stage, package: Path, function: str | None = None, numerics: Numerics = Numerics.TYPED
    ) -> None:
        super().__init__(stage, MLProgram.open(package, function, numerics), RUNTIME)


def program_tensors(program: MLProgram) -> FileTensors:
    """Inputs, outputs and operations that a package declares."""
    given, got = (tuple(map(program_tensor, features)) for features in (program.inputs, program.outputs))
    return FileTensors(inputs=given, outputs=got, operators=program.operators)


def program_tensor(feature: Feature) -> FileTensor:
    """An input or output that a package declares."""
    kind = feature.color.name if feature.color else feature.element.storage.name
    return FileTensor(name=feature.name, kind=kind, shape=tuple(feature.shape))


@dataclass(frozen=True)
class MlProgramEvaluator(Backend):
    """`runtime_ref.mil`: numpy, on any machine."""

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> MilSession:
        """Open a Core ML package; see `Backend.open`."""
        del threads  # numpy's own
        return MilSession(model.stage, self._path(bundle, model), model.function)


MIL = MlProgramEvaluator(
    BackendFacts(
        id="mil",
        title="ML Program evaluator",
        library="numpy",
        targets=(Target.COREML,),
        device="cpu",
        arithmetic=Arithmetic.DECLARED,
        shows="the saved package means what PyTorch computes; a reference evaluation, not Core ML",
        needs="nothing beyond dofkit",
        install="pip install dofkit",
        is_reference=True,
    )
)


def _eight_bit(feature: Feature) -> bool:
    """Whether its numbers are pixels of 0 … 255."""
    return feature.color not in (None, ColorSpace.GRAYSCALE_FLOAT16)

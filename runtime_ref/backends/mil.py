"""Core ML packages anywhere: the saved ML Program, evaluated by `runtime_ref.mil`. Not the Core ML runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DofkitError
from ..mil import ColorSpace, Feature, MLProgram, Numerics
from ..pipeline.stage import OUTPUTS, Stage

Array = NDArray[np.floating[Any]]

RUNTIME = "ML Program evaluator (reference, not Core ML)"
_PIXEL_MAX = np.float32(255)


class MilSession:
    """A stage computed from the saved package, every result rounded to the type that the program declares.

    Images go in and come out unrounded (pixel values as an 8-bit buffer would hold them, but not cut to 8 bits), so
    that what is compared is the program and not the buffer.
    """

    def __init__(
        self, stage: Stage, package: Path, function: str | None = None, numerics: Numerics = Numerics.TYPED
    ) -> None:
        self.program = MLProgram.open(package, function, numerics)
        self.runtime = RUNTIME
        self._inputs = {feature.name: feature for feature in self.program.inputs}
        names = {feature.name: feature for feature in self.program.outputs}
        wanted = OUTPUTS[stage].name
        if wanted not in names:
            raise DofkitError(f"{package} gives {', '.join(names)}, not {wanted}; export the bundle again")
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


def _eight_bit(feature: Feature) -> bool:
    """Whether its numbers are pixels of 0 … 255."""
    return feature.color not in (None, ColorSpace.GRAYSCALE_FLOAT16)

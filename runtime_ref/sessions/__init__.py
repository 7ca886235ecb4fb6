"""One file a runtime behind one protocol: a session runs one stage, whatever computes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..stage import Stage
from ..target import Target

Array = NDArray[np.floating[Any]]


class Session(Protocol):
    """One stage on one runtime."""

    @property
    def runtime(self) -> str:
        """Name and version of what computes, for people."""
        ...

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage.

        Args:
            inputs: the stage's inputs by name, each `[1, C, H, W]` float32 (also where the file itself is NHWC).

        Returns:
            The stage's output, `[1, C, H, W]` float32.
        """
        ...


def open_session(target: Target, stage: Stage, model: Path, threads: int = 2) -> Session:
    """Open an exported file with the runtime of its target.

    Raises:
        MissingExtraError: when the runtime is not installed.
        DofkitError: when the runtime cannot read the file, or does not exist on this system.
    """
    match target:
        case Target.ONNX:
            from .onnx import OnnxSession

            return OnnxSession(stage, model, threads)
        case Target.TFLITE:
            from .tflite import TFLiteSession

            return TFLiteSession(stage, model, threads)
        case Target.COREML:
            from .coreml import no_runtime

            return no_runtime()

"""One file a runtime behind one protocol: a session runs one stage, whatever computes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle, ModelEntry
from ..target import Target

Array = NDArray[np.floating[Any]]


class Session(Protocol):
    """One stage on one runtime. A session that several threads may run at once is a `SharedSession`, too."""

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


@runtime_checkable
class SharedSession(Protocol):
    """A stage that can be computed for several tiles at once."""

    def side_by_side(self) -> tuple[Session, int]:
        """The same stage with one core a call, and how many calls may run at once."""
        ...


def open_session(bundle: Bundle, model: ModelEntry, threads: int = 2) -> Session:
    """Open a model of a bundle with the runtime of its target; a Core ML package with the reference evaluator.

    Raises:
        MissingExtraError: when the runtime is not installed.
        DofkitError: when the runtime cannot read the file.
    """
    path = bundle.path(model.path)
    match model.target:
        case Target.ONNX:
            from .onnx import OnnxSession

            return OnnxSession(model.stage, path, threads)
        case Target.TFLITE:
            from .tflite import TFLiteSession

            return TFLiteSession(model.stage, path, threads)
        case Target.COREML:
            from .mil import MilSession

            return MilSession(model.stage, path, model.function)

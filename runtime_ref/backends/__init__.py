"""What runs a stage's file: one file a runtime; a session (see `pipeline.session`) is a stage that was opened."""

from __future__ import annotations

from ..bundle import Bundle, ModelEntry
from ..pipeline.session import Array, Session, SharedSession
from ..target import Target

__all__ = ["Array", "Session", "SharedSession", "open_session"]


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

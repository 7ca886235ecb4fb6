"""Opens a model with the engine of a second opinion; an engine's library is imported when it is asked."""

from __future__ import annotations

from ...bundle import Bundle, ModelEntry
from .. import Session
from ..opinions import Opinion


def open_opinion(opinion: Opinion, bundle: Bundle, model: ModelEntry, threads: int = 2) -> Session:
    """Open a model of a bundle with another engine. Some engines can crash: see `isolated.py`.

    Args:
        opinion: the engine; its target must be the model's.
        threads: CPU threads where the engine takes a number.

    Raises:
        OpinionUnavailableError: it cannot run on this machine; says what is missing and how to get it.
        MissingExtraError: its library is not installed.
        DofkitError: the engine does not take the file.
    """
    if model.target is not opinion.target:
        raise ValueError(f"{opinion} computes {opinion.target} files, not {model.target} ones")
    path = bundle.path(model.path)
    match opinion:
        case Opinion.ONNX_UNOPTIMISED:
            from ..onnx import OnnxSession

            return OnnxSession(model.stage, path, threads, optimised=False)
        case Opinion.ONNX_REFERENCE:
            from .onnx import OnnxReferenceSession

            return OnnxReferenceSession(model.stage, path)
        case Opinion.TFLITE_REFERENCE:
            from .interpreters import litert_reference

            return litert_reference(model.stage, path, threads)
        case Opinion.TENSORFLOW_REFERENCE:
            from .interpreters import tensorflow_reference

            return tensorflow_reference(model.stage, path, threads)
        case Opinion.LITERT_FP16:
            from .compiled import cpu_fp16

            return cpu_fp16(model.stage, path, threads)
        case Opinion.LITERT_GPU_FP32 | Opinion.LITERT_GPU_FP16:
            from .compiled import gpu

            return gpu(model.stage, path, half=opinion.half)

"""Second opinions on an exported file: other engines, other kernels, other arithmetic than its ordinary runtime's.

What each is and needs stands here; the engines are in `second/`, one file a library.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..errors import MissingExtraError
from ..target import Target

_GPU = (
    "a GPU, or Mesa's software one",
    "install mesa-vulkan-drivers >= 25, which computes on the CPU, or use a machine with a GPU",
)


class OpinionUnavailableError(MissingExtraError):
    """A second opinion cannot be had on this machine; the text says what is missing and how to get it."""


@dataclass(frozen=True)
class _Facts:
    target: Target
    title: str
    shows: str
    needs: str
    remedy: str
    half: bool = False


class Opinion(str, Enum):
    """An engine that computes a target's files a second time; the value is its name on the command line."""

    ONNX_UNOPTIMISED = "onnx-unoptimised"
    ONNX_REFERENCE = "onnx-reference"
    TFLITE_REFERENCE = "tflite-reference"
    TENSORFLOW_REFERENCE = "tensorflow-reference"
    LITERT_FP16 = "litert-fp16"
    LITERT_GPU_FP32 = "litert-gpu-fp32"
    LITERT_GPU_FP16 = "litert-gpu-fp16"

    def __str__(self) -> str:
        return self.value

    @property
    def target(self) -> Target:
        """Whose files it computes."""
        return _FACTS[self].target

    @property
    def title(self) -> str:
        """What it is, for people; part of its row's name."""
        return _FACTS[self].title

    @property
    def shows(self) -> str:
        """What its agreement shows that the ordinary runtime's does not."""
        return _FACTS[self].shows

    @property
    def needs(self) -> str:
        """What must be there for it to run."""
        return _FACTS[self].needs

    @property
    def remedy(self) -> str:
        """How to get that."""
        return _FACTS[self].remedy

    @property
    def half(self) -> bool:
        """Whether it computes in 16-bit floats, so that an fp32 file too is held to the limits of fp16."""
        return _FACTS[self].half


_FACTS = {
    Opinion.ONNX_UNOPTIMISED: _Facts(
        Target.ONNX,
        "graph unoptimised",
        "the result is the graph's own and not one of ONNX Runtime's rewriting",
        "onnxruntime",
        "run: pip install 'dofkit[onnx]'",
    ),
    Opinion.ONNX_REFERENCE: _Facts(
        Target.ONNX,
        "onnx reference",
        "the graph means the same by the letter of ONNX's specification",
        "onnx",
        "run: pip install 'dofkit[onnx]'",
    ),
    Opinion.TFLITE_REFERENCE: _Facts(
        Target.TFLITE,
        "reference kernels",
        "the result does not depend on XNNPACK",
        "ai-edge-litert",
        "run: pip install 'dofkit[tflite]'",
    ),
    Opinion.TENSORFLOW_REFERENCE: _Facts(
        Target.TFLITE,
        "TensorFlow reference kernels",
        "another library reads the file in the same way",
        "tensorflow",
        "run: pip install tensorflow",
    ),
    Opinion.LITERT_FP16: _Facts(
        Target.TFLITE,
        "CPU fp16",
        "phones whose CPU computes in 16-bit floats keep the quality",
        "ai-edge-litert >= 2.3",
        "run: pip install 'dofkit[tflite]'",
        half=True,
    ),
    Opinion.LITERT_GPU_FP32: _Facts(
        Target.TFLITE,
        "GPU fp32",
        "the GPU accelerator takes every operation and computes the same",
        *_GPU,
    ),
    Opinion.LITERT_GPU_FP16: _Facts(
        Target.TFLITE,
        "GPU fp16",
        "the same in 16-bit floats, which is the accelerator's default",
        *_GPU,
        half=True,
    ),
}


def opinions_for(target: Target) -> tuple[Opinion, ...]:
    """The second opinions on a target's files; none for Core ML, whose evaluator is one already."""
    return tuple(opinion for opinion in Opinion if opinion.target is target)

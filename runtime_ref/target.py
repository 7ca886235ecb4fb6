"""The targets and precisions of an export; every fact about one lives here, nobody compares strings."""

from __future__ import annotations

from enum import Enum


class Precision(str, Enum):
    """How numbers are stored and computed in an exported file; inputs and outputs stay float32."""

    FP32 = "fp32"
    FP16 = "fp16"

    def __str__(self) -> str:
        return self.value


class Target(str, Enum):
    """A kind of exported file; the value is its name on the command line and in the manifest."""

    COREML = "coreml"
    TFLITE = "tflite"
    ONNX = "onnx"

    def __str__(self) -> str:
        return self.value

    @property
    def title(self) -> str:
        """The name people know."""
        return {Target.COREML: "Core ML", Target.TFLITE: "TFLite (LiteRT)", Target.ONNX: "ONNX"}[self]

    @property
    def suffix(self) -> str:
        """File name suffix of a model; a Core ML package is a folder."""
        return {Target.COREML: ".mlpackage", Target.TFLITE: ".tflite", Target.ONNX: ".onnx"}[self]

    @property
    def layout(self) -> str:
        """Axis order of the exported graph's inputs and outputs."""
        return "NHWC" if self is Target.TFLITE else "NCHW"

    @property
    def extra(self) -> str:
        """The extra of dofkit that brings the target's packages."""
        return self.value

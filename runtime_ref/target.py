"""The targets and precisions of an export; every fact about one lives here, nobody compares strings."""

from __future__ import annotations

from enum import Enum


class Precision(str, Enum):
    """How numbers are stored and computed in an exported file; inputs and outputs stay float32.

    What a target can do with each, and why not, stands in `export/precision.py`.
    """

    FP32 = "fp32"
    FP16 = "fp16"
    W8 = "w8"
    DYNAMIC = "dynamic"
    W8A8 = "w8a8"
    MIXED = "mixed"
    W4 = "w4"
    PALETTE8 = "palette8"
    PALETTE6 = "palette6"
    PALETTE4 = "palette4"

    def __str__(self) -> str:
        return self.value

    @property
    def title(self) -> str:
        """What it does, for people."""
        return {
            Precision.FP32: "32-bit floats",
            Precision.FP16: "16-bit floats",
            Precision.W8: "int8 weights, one scale a channel; computed in floats",
            Precision.DYNAMIC: "int8 weights, activations quantised as they come",
            Precision.W8A8: "int8 weights and activations, ranges measured beforehand",
            Precision.MIXED: "w8a8 with the layers that a recipe names left in floats",
            Precision.W4: "int4 weights; computed in floats",
            Precision.PALETTE8: "weights as indices of 256 values a layer",
            Precision.PALETTE6: "weights as indices of 64 values a layer",
            Precision.PALETTE4: "weights as indices of 16 values a layer",
        }[self]

    @property
    def palette_bits(self) -> int | None:
        """Bits of an index for palettes, None for the others."""
        return {Precision.PALETTE4: 4, Precision.PALETTE6: 6, Precision.PALETTE8: 8}.get(self)

    @property
    def weight_bits(self) -> int | None:
        """Bits of a stored weight that is not a float; None for floats."""
        if self in (Precision.FP32, Precision.FP16):
            return None
        return self.palette_bits or (4 if self is Precision.W4 else 8)

    @property
    def needs_ranges(self) -> bool:
        """Whether the ranges of activations must be measured before: it is calibrated."""
        return self in (Precision.W8A8, Precision.MIXED)


class Target(str, Enum):
    """A kind of exported file; the value is its name on the command line and in the manifest."""

    COREML = "coreml"
    TFLITE = "tflite"
    ONNX = "onnx"
    COREAI = "coreai"

    def __str__(self) -> str:
        return self.value

    @property
    def title(self) -> str:
        """The name people know."""
        return {
            Target.COREML: "Core ML",
            Target.TFLITE: "TFLite (LiteRT)",
            Target.ONNX: "ONNX",
            Target.COREAI: "Core AI",
        }[self]

    @property
    def suffix(self) -> str:
        """File name suffix of a model; Core ML's packages and Core AI's models are folders."""
        return {
            Target.COREML: ".mlpackage",
            Target.TFLITE: ".tflite",
            Target.ONNX: ".onnx",
            Target.COREAI: ".aimodel",
        }[self]

    @property
    def layout(self) -> str:
        """Axis order of the exported graph's inputs and outputs."""
        return "NHWC" if self is Target.TFLITE else "NCHW"

    @property
    def extra(self) -> str:
        """The extra of dofkit that brings the target's packages."""
        return self.value

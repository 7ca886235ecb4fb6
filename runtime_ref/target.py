"""The targets and precisions of an export; every fact about one lives here, nobody compares strings."""

from __future__ import annotations

from .enums import TitledEnum


class Precision(TitledEnum):
    """How numbers are stored and computed in an exported file; inputs and outputs stay float32.

    What a target can do with each, and why not, stands in `export/precision.py`.
    """

    FP32 = "fp32", "32-bit floats"
    FP16 = "fp16", "16-bit floats"
    W8 = "w8", "int8 weights, one scale a channel; computed in floats"
    DYNAMIC = "dynamic", "int8 weights, activations quantised as they come"
    W8A8 = "w8a8", "int8 weights and activations, ranges measured beforehand"
    MIXED = "mixed", "w8a8 with the layers that a recipe names left in floats"
    W4 = "w4", "int4 weights; computed in floats"
    PALETTE8 = "palette8", "weights as indices of 256 values a layer"
    PALETTE6 = "palette6", "weights as indices of 64 values a layer"
    PALETTE4 = "palette4", "weights as indices of 16 values a layer"

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


class Target(TitledEnum):
    """A kind of exported file; the value is its name on the command line and in the manifest, the title the
    one people know."""

    COREML = "coreml", "Core ML"
    TFLITE = "tflite", "TFLite (LiteRT)"
    ONNX = "onnx", "ONNX"
    COREAI = "coreai", "Core AI"

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

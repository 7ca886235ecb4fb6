"""How far an exported file may be from PyTorch fp32: one table, a reason for each row.

A tolerance belongs to output × precision × target × the backend's arithmetic. Figures named "measured" are the worst
over the golden cases of the shipped networks.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ..backends.backend import Arithmetic
from ..pipeline.stage import PREVIEWS, Stage
from ..target import Precision, Target
from .metrics import worst


@dataclass(frozen=True)
class Tolerance:
    """Limits of one comparison; None does not limit.

    Attributes:
        max_abs: greatest absolute difference allowed, in units of the value range [0, 1].
        psnr: least PSNR allowed, in dB.
        reason: why these numbers.
        others: limits of further metrics by name: the greatest allowed of an error, the least of a likeness.
    """

    max_abs: float | None
    psnr: float | None
    reason: str
    others: Mapping[str, float] = field(default_factory=dict)

    def violations(self, values: Mapping[str, float]) -> list[str]:
        """One line for each limit that the metrics break."""
        broken = []
        if self.max_abs is not None and values["max_abs"] > self.max_abs:
            broken.append(f"max abs {values['max_abs']:.2e} > {self.max_abs:.0e}")
        if self.psnr is not None and values["psnr"] < self.psnr:
            broken.append(f"PSNR {values['psnr']:.1f} < {self.psnr:g} dB")
        for name, limit in self.others.items():
            if name in values and worst(name, [values[name], limit]) != limit:
                broken.append(f"{name} {values[name]:.4g}, the limit is {limit:g}")
        return broken


_WHOLE = "pipeline"
_STAGE = {
    Precision.FP32: Tolerance(1e-4, None, "only the order of summation differs; 1/40 of an 8-bit step"),
    Precision.FP16: Tolerance(None, 55.0, "rounding to 11 bits; 55 dB is 0.45 of an 8-bit step RMS"),
}
_PIPELINE = {
    Precision.FP32: Tolerance(None, 80.0, "a stage's rounding passes through all levels; still far below 8 bits"),
    # Measured 52.6 dB on the hard case: a hundredth of a pixel of blur changes one-pixel lights and lines that much.
    Precision.FP16: Tolerance(None, 48.0, "one 8-bit step RMS: no eye sees it"),
}
# Fifty layers' sums in 11 bits. The shipped weights stay 8 dB above the usual limit; others may cancel out more.
_DEPTH_IN_HALF_SUMS = Tolerance(None, 52.0, "an ARM core sums 16-bit floats in 16 bits; measured 63.1 dB")
_BUFFERS = Tolerance(None, 70.0, "defocus and disparity travel as 16-bit floats: 11 bits; measured 79 dB")


# Where two depths explain a pixel almost equally well, rounding decides between them: no limit on a single value holds.
_FOCAL_DEPTH = {
    Precision.FP32: Tolerance(None, 80.0, "a pixel between two hills of likelihood may take the other one"),
    Precision.FP16: Tolerance(None, 50.0, "the same, of logarithms in 11 bits; measured 59.9 dB"),
    Precision.W8: Tolerance(None, 48.0, "weights of the learned layers in 8 bits; measured 57.9 dB"),
}


@dataclass(frozen=True)
class _Floors:
    """Least PSNR in dB of the depth stage, of the rendering stages, of the whole pipeline."""

    depth: float
    rendering: float
    pipeline: float
    reason: str

    def tolerance(self, scope: str) -> Tolerance:
        """The row of one scope."""
        least = {"depth": self.depth, _WHOLE: self.pipeline}.get(scope, self.rendering)
        return Tolerance(None, least, self.reason)


# Core AI's images hold bytes, and the program says so; Core ML's evaluator takes a buffer's values unrounded.
_BYTES = _Floors(50, 54, 44, "pictures are rounded to 8 bits on the way in; measured depth 56.5, rendering 60.0 dB")

# Some 4 to 10 dB below the worst that the shipped networks reached: depth and pipeline on the portrait and the hard
# case, whose one-pixel lights ask most of both, rendering on 11 photos besides (Core ML's reduced to 640 pixels). They
# catch a layer that was corrupted, and say what a smaller file costs.
_QUANTISED = {
    (Precision.W8, Target.COREML): _Floors(52, 44, 46, "measured depth 61.6, rendering 57.7, pipeline 54.8 dB"),
    (Precision.PALETTE8, Target.COREML): _Floors(37, 50, 28, "measured depth 43.2, rendering 65.7, pipeline 32.4 dB"),
    (Precision.PALETTE6, Target.COREML): _Floors(28, 37, 22, "measured depth 35.2, rendering 41.1, pipeline 26.7 dB"),
    (Precision.PALETTE4, Target.COREML): _Floors(16, 25, 15, "measured depth 20.7, rendering 29.4, pipeline 19.2 dB"),
    (Precision.W4, Target.COREML): _Floors(20, 26, 18, "measured depth 27.2, rendering 30.0, pipeline 22.2 dB"),
    (Precision.W8A8, Target.COREML): _Floors(38, 24, 34, "measured depth 45.8, rendering 31.5, pipeline 40.0 dB"),
    (Precision.MIXED, Target.COREML): _Floors(42, 46, 36, "measured depth 49.4, rendering 51.7, pipeline 41.1 dB"),
    # Core AI: the two golden cases.
    (Precision.W8, Target.COREAI): _Floors(52, 50, 45, "measured depth 60.7, rendering 57.7, pipeline 51.7 dB"),
    (Precision.PALETTE8, Target.COREAI): _Floors(37, 60, 26, "measured depth 43.2, rendering 67.8, pipeline 32.2 dB"),
    (Precision.PALETTE6, Target.COREAI): _Floors(28, 48, 21, "measured depth 35.3, rendering 55.1, pipeline 26.9 dB"),
    (Precision.PALETTE4, Target.COREAI): _Floors(15, 36, 14, "measured depth 20.8, rendering 44.1, pipeline 19.2 dB"),
    (Precision.W4, Target.COREAI): _Floors(20, 29, 17, "measured depth 27.2, rendering 35.0, pipeline 22.7 dB"),
    (Precision.W8A8, Target.COREAI): _Floors(40, 33, 34, "measured depth 49.2, rendering 40.3, pipeline 40.6 dB"),
    (Precision.MIXED, Target.COREAI): _Floors(41, 48, 36, "measured depth 48.3, rendering 55.2, pipeline 43.3 dB"),
    (Precision.W8, Target.TFLITE): _Floors(50, 53, 40, "measured depth 65.4, rendering 58.1, pipeline 54.1 dB"),
    (Precision.DYNAMIC, Target.TFLITE): _Floors(46, 50, 41, "measured depth 55.9, rendering 54.5, pipeline 45.1 dB"),
    (Precision.W8A8, Target.TFLITE): _Floors(
        33, 26, 35, "measured depth 36.5 (448x320, 47.5 otherwise), rendering 31.3, pipeline 40.3 dB"
    ),
    (Precision.MIXED, Target.TFLITE): _Floors(43, 46, 40, "measured depth 56.6, rendering 52.6, pipeline 49.6 dB"),
    (Precision.W4, Target.TFLITE): _Floors(16, 27, 17, "measured depth 20.8, rendering 31.2, pipeline 21.8 dB"),
    (Precision.W8, Target.ONNX): _Floors(60, 54, 50, "measured depth 74.6, rendering 60.3, pipeline 58.9 dB"),
    (Precision.DYNAMIC, Target.ONNX): _Floors(20, 35, 17, "measured depth 25.0, rendering 41.2, pipeline 21.0 dB"),
    (Precision.W8A8, Target.ONNX): _Floors(38, 46, 34, "measured depth 48.6, rendering 52.6, pipeline 41.0 dB"),
    (Precision.MIXED, Target.ONNX): _Floors(
        39, 48, 35, "measured depth 42.6 (448x320), rendering 52.7, pipeline 40.9 dB, 38.9 with three depth sizes"
    ),
}

# A network that was brought: nobody measured it before. Depth maps are spread over [0, 1], and errors with them;
# a transformer's sums are long. Measured on Depth Anything V2 Small at 518² and on thin networks of each family, of
# random weights; trained ones were seen to lose more (w8 35 dB). They catch what is broken. The second number is the
# whole pipeline's: a map moves the blur of pictures, which cost the shipped networks up to 12 dB.
_BROUGHT_DEPTH = {
    Precision.FP32: (100.0, 75.0, "measured 107 dB and more"),
    Precision.FP16: (50.0, 30.0, "measured 60 dB and more"),
    Precision.W8: (26.0, 18.0, "measured 44 dB and more"),
    Precision.DYNAMIC: (26.0, 18.0, "measured 38 dB and more"),
    Precision.W8A8: (24.0, 16.0, "measured 34 dB and more"),
    Precision.MIXED: (24.0, 16.0, "as w8a8, whose layers it leaves in floats"),
    Precision.W4: (12.0, 10.0, "measured 19 dB and more"),
    Precision.PALETTE8: (26.0, 18.0, "measured 48 dB and more"),
    Precision.PALETTE6: (22.0, 15.0, "measured 33 dB and more"),
    Precision.PALETTE4: (12.0, 10.0, "measured 23 dB and more"),
}
_BROUGHT_IN_HALF_SUMS = Tolerance(None, 38.0, "an ARM core sums 16-bit floats in 16 bits; measured 44 dB and more")
# Rendering networks: random ones of four shapes (with skips, residual, separable, large kernels) and the worked example
# of the docs, on every target. Pictures do not stretch an error as depth's range does.
_BROUGHT_RENDERING = {
    Precision.FP32: (100.0, "measured 124 dB and more"),
    Precision.FP16: (60.0, "measured 67 dB and more"),
    Precision.W8: (40.0, "measured 50 dB and more"),
    Precision.DYNAMIC: (32.0, "measured 41 dB and more"),
    Precision.W8A8: (28.0, "measured 37 dB and more"),
    Precision.MIXED: (28.0, "as w8a8, whose layers it leaves in floats"),
    Precision.W4: (16.0, "measured 24 dB and more"),
    Precision.PALETTE8: (38.0, "measured 48 dB and more"),
    Precision.PALETTE6: (30.0, "measured 39 dB and more"),
    Precision.PALETTE4: (18.0, "measured 26 dB and more"),
}
_TWO_ERRORS = 6.0  # dB: two errors of one size add up to twice that at most


def _of_brought(scope: str, precision: Precision, target: Target, brought: Collection[Stage]) -> Tolerance:
    """The limits of what depends on brought networks."""
    about = "a network that was brought"
    if scope == Stage.DEPTH:
        least, _, reason = _BROUGHT_DEPTH[precision]
        return Tolerance(None, least, f"{about}: {reason}")
    rendering, reason = _BROUGHT_RENDERING[precision]
    if scope != _WHOLE:
        return Tolerance(None, rendering, f"{about}: {reason}")
    parts = [tolerance(scope, precision, target).psnr or math.inf]
    if Stage.DEPTH in brought:
        parts.append(_BROUGHT_DEPTH[precision][1])
    if set(brought) - {Stage.DEPTH}:
        parts.append(rendering - _TWO_ERRORS)
    return Tolerance(None, min(parts), f"{about} computes a part of it: what its stage may differ by, and what follows")


def tolerance(
    scope: str,
    precision: Precision,
    target: Target,
    buffers: bool = False,
    arithmetic: Arithmetic = Arithmetic.STORED,
    half_sums: bool = False,
    brought: Collection[Stage] = (),
) -> Tolerance:
    """The limits of a stage (by its name) or of the whole pipeline ("pipeline").

    Args:
        scope: what is compared.
        precision, target: of the models.
        buffers: the models take or give camera buffers.
        arithmetic: the backend's; one that computes in 16-bit floats is held to the limits of fp16, whatever the file
            stores its floats as.
        half_sums: the backend's.
        brought: the stages among what is compared whose networks are none of dofkit's own architectures.
    """
    if arithmetic is Arithmetic.FP16 and precision is Precision.FP32:
        precision = Precision.FP16
    if scope in PREVIEWS:  # the whole pipeline in one graph
        scope = _WHOLE
    if scope == Stage.FOCAL_DEPTH.value:
        return _FOCAL_DEPTH[precision]
    in_half_sums = half_sums and precision is Precision.FP16 and scope == Stage.DEPTH.value
    if brought:
        if in_half_sums:
            return _BROUGHT_IN_HALF_SUMS
        return _of_brought(scope, precision, target, brought)
    if in_half_sums:
        return _DEPTH_IN_HALF_SUMS
    if buffers and target is Target.COREAI:
        rounded, limits = _BYTES.tolerance(scope), tolerance(scope, precision, target)
        return limits if (limits.psnr or math.inf) < (rounded.psnr or 0) else rounded
    floors = _QUANTISED.get((precision, target))
    if floors is not None:
        return floors.tolerance(scope)
    if buffers and precision is Precision.FP32:
        return _BUFFERS
    return (_PIPELINE if scope == _WHOLE else _STAGE)[precision]

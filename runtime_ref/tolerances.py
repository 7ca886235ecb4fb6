"""How far an exported file may be from PyTorch fp32: one table, a reason for each row.

A tolerance belongs to output × precision × target. Figures named "measured" are the worst over the golden cases of the
shipped networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .bundle import ModelEntry
from .compression import Compression
from .metrics import worst
from .target import Precision, Target


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


_STAGE = {
    Precision.FP32: Tolerance(1e-4, None, "only the order of summation differs; 1/40 of an 8-bit step"),
    Precision.FP16: Tolerance(None, 55.0, "rounding to 11 bits; 55 dB is 0.45 of an 8-bit step RMS"),
}
_PIPELINE = {
    Precision.FP32: Tolerance(None, 80.0, "a stage's rounding passes through all levels; still far below 8 bits"),
    Precision.FP16: Tolerance(None, 55.0, "below half an 8-bit step RMS: no eye and no 8-bit file shows it"),
}
_BUFFERS = Tolerance(None, 70.0, "defocus and disparity travel as 16-bit floats: 11 bits; measured 79 dB")


# Least PSNR in dB of the depth stage, of the rendering stages, of the whole pipeline: 4 dB below the worst that the
# shipped networks reached on 11 photos (at their default sizes; the hard case included for the rendering stages). They
# catch a layer that was corrupted, and say what a smaller file costs. Depth pays most: it stretches its result to the
# whole range, and small errors with it; its median over the photos is 7 to 12 dB above the worst.
_COMPRESSED = {
    Compression.INT8: (37, 46, 44, "int8 weights: measured depth 41.0, rendering 52.1, pipeline 48.2 dB"),
    Compression.PALETTE8: (39, 60, 42, "256 weights a layer: measured depth 43.0, rendering 65.3, pipeline 45.8 dB"),
    Compression.PALETTE6: (22, 42, 35, "64 weights a layer: measured depth 26.0, rendering 46.7, pipeline 40.8 dB"),
    Compression.PALETTE4: (18, 31, 25, "16 weights a layer: measured depth 21.7, rendering 35.7, pipeline 29.5 dB"),
    Compression.INT4: (16, 25, 24, "int4 weights: measured depth 19.9, rendering 29.5, pipeline 27.7 dB"),
    Compression.W8A8: (
        19,
        28,
        26,
        "8-bit weights and activations: measured depth 22.9, rendering 32.3, pipeline 30.3 dB",
    ),
}


def _compressed(scope: str, compression: Compression) -> Tolerance:
    depth, rendering, pipeline, reason = _COMPRESSED[compression]
    return Tolerance(None, {"depth": depth, "pipeline": pipeline}.get(scope, rendering), reason)


def tolerance(
    scope: str,
    precision: Precision,
    target: Target,
    compression: Compression = Compression.NONE,
    buffers: bool = False,
) -> Tolerance:
    """The limits of a stage (by its name) or of the whole pipeline ("pipeline").

    Args:
        scope: what is compared.
        precision, compression: of the models.
        target: what for; the table has no row that depends on it yet.
        buffers: the models take or give camera buffers.
    """
    del target
    if compression is not Compression.NONE:
        return _compressed(scope, compression)
    if buffers and precision is Precision.FP32:
        return _BUFFERS
    return (_PIPELINE if scope == "pipeline" else _STAGE)[precision]


def tolerance_of(scope: str, model: ModelEntry) -> Tolerance:
    """The limits of a model of a bundle, or of the pipeline that it belongs to."""
    return tolerance(scope, model.precision, model.target, model.compression, model.has_buffers)

"""What the eye sees of a difference, in one word: a grade of whole pictures, beside the verdict.

A verdict says whether a file keeps a promise; a file that stores 4 bits keeps its promise and may look worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..enums import TextEnum


class Grade(TextEnum):
    """How a picture looks beside the reference's, the best first."""

    LOSSLESS = "visually lossless"
    GOOD = "good"
    VISIBLE = "visible"
    POOR = "poor"

    def at_least(self, other: Grade) -> bool:
        """Whether it is as good as another or better."""
        order = list(Grade)
        return order.index(self) <= order.index(other)


@dataclass(frozen=True)
class Least:
    """The least figures of a grade.

    Attributes:
        psnr: of the whole picture, in dB.
        ssim: of the whole picture.
        regions: PSNR in focus, along depth edges and at highlights, in dB.
        reason: where the numbers are from.
    """

    psnr: float
    ssim: float
    regions: float
    reason: str


# PSNR and SSIM: the borders between the mean opinion scores 5, 4 and 3 of Zinner et al. 2010 ("Impact of frame rate and
# resolution on objective QoE metrics", QoMEX). Regions are ours: each is a few percent of the picture, chosen because
# errors gather there, and the texture or the edge that they lie on masks a part of them; 5 dB less is 1.8 times the
# error of the whole. A halo that is 8 steps of 255 strong along all depth edges has 30 dB there and is still "good".
GRADES: dict[Grade, Least] = {
    Grade.LOSSLESS: Least(45.0, 0.99, 40.0, "excellent: an RMS error of 1.4 steps of 255 at most"),
    Grade.GOOD: Least(33.0, 0.95, 28.0, "good: seen when compared side by side, not disturbing"),
    Grade.VISIBLE: Least(27.4, 0.88, 22.4, "fair: seen, slightly disturbing"),
}

_REGIONS = ("focus_psnr", "edge_psnr", "highlight_psnr")


def grade(figures: Mapping[str, float]) -> Grade | None:
    """The grade of the worst figures of whole pictures; None where PSNR and SSIM were not measured.

    Args:
        figures: metrics by name, as `metrics` calls them; regions that no picture has are left out.
    """
    if "psnr" not in figures or "ssim" not in figures:
        return None
    return next((name for name, least in GRADES.items() if _reaches(figures, least)), Grade.POOR)


def _reaches(figures: Mapping[str, float], least: Least) -> bool:
    regions = all(figures[name] >= least.regions for name in _REGIONS if name in figures)
    return figures["psnr"] >= least.psnr and figures["ssim"] >= least.ssim and regions

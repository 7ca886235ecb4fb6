"""Mixed pixels: where two surfaces share a pixel of the lowest level, how much of it is whose, and of which colour.

The runtime gives such a pixel the mean of their defocus (`runtime_ref.pyramid.disparity_at_level`), so that what each
surface has around it tells the shares: a matte of the edge, from the disparity alone. Nothing here is learned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.pipeline.optics import NETWORK_RADIUS
from .filters import FixedConvolution

SPAN = (0.25, 0.75)
"""Pixels of defocus by which a pixel's neighbours must differ: below the first it is one surface, above the second two.

Less is a slanted surface, and nobody sees the difference."""

WHOLE = 0.03
"""A share so near to 0 or 1 is taken for it: a slanted surface is no mixture at its edge."""

SOLID = (0.4, 0.6)
"""Mean of 3×3 pixels, 0 the farthest and 1 the nearest of them: the middle of a line comes to the first, a pixel at a
straight edge to the second."""

LEAST = 1e-2
"""Weight of a pixel's own colour in a guess of its neighbours': what remains where none of them is whole."""

BESIDE = 1 / 12
"""Weight of the lightest neighbour, a corner: where either side has less, a mixed pixel's colours are unknown."""


@dataclass(frozen=True)
class Mixture:
    """What a pixel is made of.

    Attributes:
        front: [N, 1, H, W], defocus of its nearer surface, in units of 8 pixels.
        far: [N, 1, H, W], of its farther one.
        mixed: [N, 1, H, W], 1 where there are two, 0 where there is one.
        through: [N, 1, H, W] in [0, 1], share of the farther one.
        nearest, farthest: [N, 1, H, W] in [0, 1], how surely a pixel is whole and the nearer, or the farther, of the
            two surfaces that meet beside it. A thin thing's pixels are not: none is surely whole.
    """

    front: torch.Tensor
    far: torch.Tensor
    mixed: torch.Tensor
    through: torch.Tensor
    nearest: torch.Tensor
    farthest: torch.Tensor


@dataclass(frozen=True)
class Farther:
    """The farther surface that each pixel shows; the only one, where it is not mixed.

    Attributes:
        light: [N, 3, H, W], linear.
        defocus: [N, 1, H, W].
        known: [N, 1, H, W] in [0, 1], how well the pixel tells its light.
    """

    light: torch.Tensor
    defocus: torch.Tensor
    known: torch.Tensor


def mean_around(defocus: torch.Tensor) -> torch.Tensor:
    """The mean of 3×3 pixels, beyond the border 0."""
    return F.avg_pool2d(defocus, 3, 1, 1)


def unmix(defocus: torch.Tensor, mean: Callable[[torch.Tensor], torch.Tensor] = mean_around) -> Mixture:
    """Take pixels apart by the nearest and the farthest of their 3×3 neighbours.

    Args:
        defocus: [N, 1, H, W], signed, in units of 8 pixels.
        mean: computes `mean_around`.
    """
    near, far = F.max_pool2d(defocus, 3, 1, 1), -F.max_pool2d(-defocus, 3, 1, 1)
    span = near - far
    share, around = (defocus - far) / (span + 1e-3), (mean(defocus) - far) / (span + 1e-3)
    neither = (20.0 * torch.minimum(share - WHOLE, 1.0 - WHOLE - share)).clamp(0.0, 1.0)
    mixed = _between(*SPAN, NETWORK_RADIUS * span) * neither
    whole = 1.0 - mixed
    return Mixture(
        front=defocus + mixed * (near - defocus),
        far=defocus + mixed * (far - defocus),
        mixed=mixed,
        through=mixed * (1.0 - share),
        nearest=whole * share * _between(*SOLID, around),
        farthest=whole * (1.0 - share),
    )


def _between(low: float, high: float, values: torch.Tensor) -> torch.Tensor:
    """0 below `low`, 1 above `high`, linear between."""
    return ((1.0 / (high - low)) * values - low / (high - low)).clamp(0.0, 1.0)


class Unmixing(nn.Module):
    """Takes the colour of mixed pixels apart. Nothing here is learned."""

    def __init__(self) -> None:
        super().__init__()
        around = torch.tensor([[0.5, 1.0, 0.5], [1.0, 0.0, 1.0], [0.5, 1.0, 0.5]]) / 6
        self.around = FixedConvolution(around.repeat(8, 1, 1, 1), groups=8)

    def forward(self, light: torch.Tensor, mixture: Mixture) -> Farther:
        """What the farther surface adds to the light of each pixel.

        A mixed pixel's light is L = (1 − t)·F + t·B. Its whole neighbours on either side of the edge say what F and B
        may be, equally surely; what they leave over is then shared out as least squares have it:
        B = B' + t·(L − (1 − t)·F' − t·B') / ((1 − t)² + t²).

        Args:
            light: [N, 3, H, W], linear.
            mixture: of the same pixels.
        """
        share, near, far = mixture.through, mixture.nearest, mixture.farthest
        sums = self.around(torch.cat([near * light, near, far * light, far], dim=1))
        nearer = (sums[:, :3] + LEAST * light) / (sums[:, 3:4] + LEAST)
        farther = (sums[:, 4:7] + LEAST * light) / (sums[:, 7:] + LEAST)
        left_over = light - (1.0 - share) * nearer - share * farther
        behind = (farther + left_over * (share / (share * share + (1.0 - share) * (1.0 - share)))).clamp(0.0, 1.0)
        beside = (torch.minimum(sums[:, 3:4], sums[:, 7:]) / BESIDE).clamp(0.0, 1.0)
        known = 1.0 - mixture.mixed + share * share * beside
        return Farther(light + mixture.mixed * (behind - light), mixture.far, known)

"""What lies behind: for every pixel the nearest surface beside it that is farther away than its own.

A blurred edge shows what is behind it, which no photo holds. The guess is the best that surroundings allow: farther
pixels nearby, grown over what hides them. Guesses of several depths are made at once, each from all that is farther
than one cut through the scene; a pixel takes the one of the nearest cut behind it. Nothing here is learned.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.optics import NETWORK_RADIUS
from .filters import fixed

CUTS = (-5.6, -3.4, -1.9, -0.75, 0.25, 1.3, 2.6, 4.5)
"""Defocus in pixels at which the scene is cut; denser where the eye sees a difference."""

GAP = (1.0, 0.25)
"""A pixel of defocus c counts as nearer than a cut at c − 1 − |c| / 4 at least: no slanted surface hides itself."""

SOFTNESS = 0.5
"""Pixels of defocus over which a pixel goes from one side of a cut to the other."""

ENOUGH = 1e-3
"""Share of the growing kernel's weight, of which a guess counts half."""

REACH = 4
"""Half-resolution pixels that colours grow; the widest disc reaches eight of full resolution."""


class HiddenSurface(nn.Module):
    """Light, defocus and presence of the surface behind each pixel."""

    cuts: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        cuts = torch.tensor(CUTS) / NETWORK_RADIUS
        self.register_buffer("cuts", cuts.view(1, -1, 1, 1), persistent=False)
        self.grow = fixed(_falling(REACH).repeat(5 * len(CUTS), 1, 1, 1), groups=5 * len(CUTS))

    def forward(self, light: torch.Tensor, defocus: torch.Tensor) -> torch.Tensor:
        """The surface behind.

        Args:
            light: [N, 3, H, W], linear, of even H and W.
            defocus: [N, 1, H, W] in units of 8 pixels.

        Returns:
            [N, 5, H, W]: its light, its defocus in the same units and how sure it is there, in [0, 1].
        """
        nearest = F.max_pool2d(defocus, 3, 1, 1)  # a pixel beside something nearer is mixed with it and shows nothing
        known = self._beyond(self.cuts - nearest)
        traits = [light[:, :1], light[:, 1:2], light[:, 2:], defocus]
        grown = self.grow(F.avg_pool2d(torch.cat([known * trait for trait in traits] + [known], dim=1), 2))
        count = grown[:, 4 * len(CUTS) :]
        weights = self._nearest_cut(F.max_pool2d(defocus, 2)) / (count + ENOUGH)
        parts = [grown[:, k * len(CUTS) : (k + 1) * len(CUTS)] for k in range(5)]
        sums = torch.cat([(weights * part).sum(dim=1, keepdim=True) for part in parts], dim=1)
        sums = F.interpolate(sums, scale_factor=2.0, mode="bilinear", align_corners=False)
        sure = sums[:, 4:]
        behind = sums[:, :4] / (sure + 1e-3)
        return torch.cat([behind, sure * self._beyond(self._limit(defocus) - behind[:, 3:])], dim=1)

    def _nearest_cut(self, defocus: torch.Tensor) -> torch.Tensor:
        """[N, cuts, H, W], of sum 1 at most: each cut's share, nearly all of it that of the nearest behind a pixel."""
        behind = self._beyond(self._limit(defocus) - self.cuts)
        return torch.cat([behind[:, :-1] - behind[:, 1:], behind[:, -1:]], dim=1)

    @staticmethod
    def _limit(defocus: torch.Tensor) -> torch.Tensor:
        """The nearest defocus that something hidden by a pixel can have."""
        least, share = GAP
        return defocus - least / NETWORK_RADIUS - share * defocus.abs()

    @staticmethod
    def _beyond(distance: torch.Tensor) -> torch.Tensor:
        """0 where `distance` is negative, 1 where it is positive, softly."""
        return (distance * (NETWORK_RADIUS / SOFTNESS) + 0.5).clamp(0.0, 1.0)


def _falling(reach: int) -> torch.Tensor:
    """[1, 1, S, S], S = 2·reach + 1, summing to 1: falls with the sixth power of the distance.

    So steep that what is nearest decides; where nothing is near, what is far still does.
    """
    distance = torch.arange(-reach, reach + 1, dtype=torch.float32).square()
    kernel = (distance[:, None] + distance + 0.5) ** -3
    return (kernel / kernel.sum())[None, None]

"""What lies behind: for every pixel the nearest surface beside it that is farther away than its own.

A blurred edge shows what is behind it, which no photo holds. The guess is the best that surroundings allow: farther
pixels nearby, grown over what hides them. Guesses of several depths are made at once, each from all that is farther
than one cut through the scene; a pixel takes the one of the nearest cut behind it. What is next to a pixel is seen at
full resolution, the rest at half of it. Nothing here is learned.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.pipeline.optics import NETWORK_RADIUS
from .filters import FixedConvolution, twice
from .mixed_pixels import Farther

CUTS = (-4.8, -2.4, -0.75, 0.25, 1.5, 3.6)
"""Defocus in pixels at which the scene is cut; denser where the eye sees a difference."""

UNUSED = -5 * len(CUTS) % 8
"""Maps that fill up the last eight: ONNX Runtime takes depthwise convolutions by eights, or four times as long."""

GAP = (1.0, 0.25)
"""A pixel of defocus c counts as nearer than a cut at c − 1 − |c| / 4 at least: no slanted surface hides itself."""

SOFTNESS = 0.5
"""Pixels of defocus over which a pixel goes from one side of a cut to the other."""

ENOUGH = 0.0003
"""Weight of known pixels, as of `_falling`, of which a guess counts half; four at the reach's end."""

REACH = 3
"""Half-resolution pixels that colours grow."""


class HiddenSurface(nn.Module):
    """Light, defocus and presence of the surface behind each pixel."""

    cuts: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        cuts, maps = torch.tensor(CUTS) / NETWORK_RADIUS, 5 * len(CUTS) + UNUSED
        self.register_buffer("cuts", cuts.view(1, -1, 1, 1), persistent=False)
        self.beside = FixedConvolution(_falling(1, pitch=1).repeat(maps, 1, 1, 1), groups=maps)
        far = 4 * _falling(REACH, pitch=2)  # each of its pixels stands for four
        far[..., REACH, REACH] = 0.01 * far[..., REACH, REACH + 1]  # these four are beside already
        self.grow = FixedConvolution(far.repeat(maps, 1, 1, 1), groups=maps)

    def forward(self, defocus: torch.Tensor, shown: Farther) -> torch.Tensor:
        """The surface behind.

        Args:
            defocus: [N, 1, H, W] of the nearest surface in each pixel, in units of 8 pixels; H and W are even.
            shown: the farther surface of each pixel, from which others guess what they hide.

        Returns:
            [N, 5, H, W]: its light, its defocus in the same units and how sure it is there, in [0, 1].
        """
        known = shown.known * self._beyond(self.cuts - shown.defocus)
        traits = [*(shown.light[:, k : k + 1] for k in range(3)), shown.defocus]
        maps = torch.cat([known * trait for trait in traits] + [known, known[:, :UNUSED]], dim=1)
        limit = self._limit(defocus)
        near = self._picked(self.beside(maps), limit)
        far = twice(self._picked(self.grow(F.avg_pool2d(maps, 2)), F.max_pool2d(limit, 2)))
        sums = near + (1.0 - near[:, 4:]) * far
        sure = sums[:, 4:]
        behind = sums[:, :4] / (sure + 1e-3)
        return torch.cat([behind, sure * self._beyond(limit - behind[:, 3:])], dim=1)

    def _picked(self, grown: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
        """[N, 5, H, W]: of what has grown for all cuts, that of the nearest one behind a pixel, times its certainty."""
        weights = self._nearest_cut(limit) / (grown[:, 4 * len(CUTS) : 5 * len(CUTS)] + ENOUGH)
        parts = [grown[:, k * len(CUTS) : (k + 1) * len(CUTS)] for k in range(5)]
        return torch.cat([(weights * part).sum(dim=1, keepdim=True) for part in parts], dim=1)

    def _nearest_cut(self, limit: torch.Tensor) -> torch.Tensor:
        """[N, cuts, H, W], of sum 1 at most: each cut's share, nearly all of it that of the nearest behind a pixel."""
        behind = self._beyond(limit - self.cuts)
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


def _falling(reach: int, pitch: int) -> torch.Tensor:
    """[1, 1, S, S], S = 2·reach + 1: falls with the sixth power of the distance, in pixels of 1 / `pitch`.

    So steep that what is nearest decides; where nothing is near, what is far still does.
    """
    distance = (pitch * torch.arange(-reach, reach + 1, dtype=torch.float32)).square()
    return ((distance[:, None] + distance + 0.5) ** -3)[None, None]

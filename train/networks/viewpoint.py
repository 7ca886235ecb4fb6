"""Generators that can be looked at from other sides: HoloGAN turns a volume of features, RGBD-GAN is told the pose.

Both end in the plain generator's layers and make what it makes. The geometry lives in `train.rendering.viewpoints`,
the losses in `train.systems.argan`.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from ..argan_config import Viewpoint
from ..rendering.viewpoints import rotations
from .argan import SMALLEST, Doubling, Generator, Styled

LARGEST_VOLUME = 16
"""Side of HoloGAN's volume at most, as in the paper; a quarter of the picture where that is less."""


class RgbdGenerator(Generator):
    """z and pose → picture and depth from there (Noguchi & Harada 2020): the pose styles the layers beside z.

    Nothing in it knows of geometry; the consistency loss teaches that.
    """

    POSE = 4

    def styles(self, z: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
        """z with (cos, sin) of both angles behind it."""
        return torch.cat([z, view.cos(), view.sin()], dim=1)


class HoloGenerator(Generator):
    """z and pose → picture and depth from there (Nguyen-Phuoc et al. 2019): z styles a volume, which is then turned.

    Learned constant [C, 4, 4, 4] → doublings in three dimensions → rigid turn → projection unit → doublings in two.
    Left out of the paper's layers: the convolutions in three dimensions after the turn, for their time.
    """

    def started(self, style: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
        """The volume turned and projected: [N, C, V, V] at V pixels, the volume's side."""
        x = self.first(self.constant.expand(len(style), -1, -1, -1, -1), style)
        for block in self.solid:
            x = block(x, style)
        return self.project(turned_volume(x, view))

    def _start(self, style: int) -> list[int]:
        widths = self.config.widths
        side = max(SMALLEST, min(LARGEST_VOLUME, self.config.size // 4))
        doublings = (side // SMALLEST).bit_length() - 1
        # A quarter of the channels: a third dimension costs about as much as it saves.
        solid = [max(8, width // 4) for width in widths[: doublings + 1]]
        self.constant = nn.Parameter(torch.randn(1, solid[0], SMALLEST, SMALLEST, SMALLEST))
        norm = self.config.norm
        self.first = Styled(solid[0], style, norm)
        self.solid = nn.ModuleList(Doubling(*pair, style, norm, solid=True) for pair in pairwise(solid))
        self.project = Projection(solid[-1], side, widths[doublings])
        return widths[doublings:]


class Projection(nn.Module):
    """A volume seen along z: what lies behind one another becomes channels of one pixel, which a 1 × 1 convolution
    weighs; that is where it can learn what hides what."""

    def __init__(self, inputs: int, depth: int, outputs: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(inputs * depth, outputs, 1)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """[N, inputs, depth, H, W] → [N, outputs, H, W]."""
        return F.leaky_relu(self.mix(volume.flatten(1, 2)), 0.2)


def turned_volume(volume: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
    """A volume as a camera sees it, without perspective.

    Args:
        volume: [N, C, V, V, V], its axes z (away from the frontal camera), y (down) and x (right).
        view: [N, 2], azimuth and elevation in radians; see `rotations`.

    Returns:
        The same shape, in the camera's axes, trilinear; what comes from outside repeats the border.
    """
    with torch.autocast(volume.device.type, enabled=False):  # positions need more than bfloat16's eight bits
        back = F.pad(rotations(view.float()).mT, (0, 1))
        grid = F.affine_grid(back, list(volume.shape), align_corners=False)
        return F.grid_sample(volume.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


GENERATORS: dict[Viewpoint, type[Generator]] = {"none": Generator, "rgbd": RgbdGenerator, "hologan": HoloGenerator}

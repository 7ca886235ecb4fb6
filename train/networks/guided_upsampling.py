"""Guided upsampling: one level of blur up, led by the sharp image; the same weights serve every level.

From DeepLens (Wang et al. 2018, sec. 3.3): H = M_A · A + M_L · L̂ (Eq. 3), applied recurrently until full resolution.
Ours: the two weight maps sum to 1, so flat colour survives any number of levels, and the network is small.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class GuidedUpsamplingConfig:
    """Sizes of the network.

    Attributes:
        low_width: channels of the low-resolution features.
        low_layers: convolutions that make them; each adds one low-resolution pixel to the receptive field.
        high_width: channels of the high-resolution features.
        head_width: channels of the high-resolution head.
    """

    low_width: int = 16
    low_layers: int = 3
    high_width: int = 8
    head_width: int = 10


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _twice(maps: torch.Tensor) -> torch.Tensor:
    """[N, C, H, W] → [N, C, 2H, 2W], bilinear with half-pixel centres."""
    return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


class GuidedUpsamplingNet(nn.Module):
    """Doubles the resolution of a blurred image: sharp pixels from the guide, blurred ones from the level below.

    Attributes:
        halo: low-resolution pixels around a tile that its core's values can depend on.
        align: H, W and tile origins are multiples of this.
    """

    halo: int = 6
    align: int = 1

    def __init__(self, config: GuidedUpsamplingConfig | None = None) -> None:
        super().__init__()
        self.config = config or GuidedUpsamplingConfig()
        width, head = self.config.low_width, self.config.head_width
        low: list[nn.Module] = []
        for i in range(self.config.low_layers):
            low += [_convolution(7 if i == 0 else width, width), nn.ReLU()]
        self.low = nn.Sequential(*low)
        self.high = nn.Sequential(_convolution(3, self.config.high_width), nn.ReLU())
        inputs = width + 7 + self.config.high_width + 3
        self.head = nn.Sequential(_convolution(inputs, head), nn.ReLU(), _convolution(head, 1), nn.Sigmoid())

    def forward(
        self,
        image_high: torch.Tensor,
        image_low: torch.Tensor,
        blurred_low: torch.Tensor,
        defocus_low: torch.Tensor,
    ) -> torch.Tensor:
        """Upsample `blurred_low` by two.

        Args:
            image_high: [N, 3, 2H, 2W], sharp, sRGB-encoded, in [0, 1].
            image_low: [N, 3, H, W], the same one level down.
            blurred_low: [N, 3, H, W], blurred one level down.
            defocus_low: [N, 1, H, W], signed circle-of-confusion radius in pixels of this map / 8, clipped to [-1, 1].

        Returns:
            [N, 3, 2H, 2W], sRGB-encoded, in [0, 1].
        """
        return self.blend(image_high, torch.cat([image_low, blurred_low, defocus_low], dim=1))

    def blend(self, image_high: torch.Tensor, scene: torch.Tensor) -> torch.Tensor:
        """The same from the low-resolution inputs already joined, `scene` [N, 7, H, W] in the order of `forward`.

        Channel-last targets join them before they enter the network: joined inside, each would be transposed.
        """
        features = _twice(torch.cat([self.low(scene), scene], dim=1))
        sharp = self.head(torch.cat([features, self.high(image_high), image_high], dim=1))
        blurred = features[:, -4:-1]  # L̂: the scene's last channels but one, already enlarged
        return sharp * image_high + (1.0 - sharp) * blurred

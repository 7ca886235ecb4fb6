"""Guided upsampling: one level of blur up, led by the sharp image; the same weights serve every level.

From DeepLens (Wang et al. 2018, sec. 3.3): H = M_A · A + M_L · L̂ (Eq. 3), applied recurrently until full resolution.
Ours: the sum is taken by octaves, H = L̂ + M₁ · (A − Â) + M₂ · (Â − L̂), where Â is the sharp image of the level below,
enlarged like L̂. M₁ = M₂ is Eq. 3; apart they keep detail behind a blurred edge and fade it under slight blur. The
network runs at the low resolution, each of its pixels with the four that it becomes: a quarter of the work.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.optics import NETWORK_RADIUS
from .filters import convolution, enlarging, fixed


@dataclass(frozen=True)
class GuidedUpsamplingConfig:
    """Sizes of the network.

    Attributes:
        width: channels of the features.
        layers: 3×3 convolutions that make them; each adds one low-resolution pixel to the receptive field. A 1×1 one
            follows.
        near_focus: widths in low-resolution pixels of the maps max(0, 1 − |c| / width). How much of the finest octave a
            lens keeps falls from all to nothing within these; the defocus itself, in units of 8, hardly moves there.
    """

    width: int = 16
    layers: int = 2
    near_focus: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "near_focus", tuple(self.near_focus))  # JSON brings a list


class GuidedUpsamplingNet(nn.Module):
    """Doubles the resolution of a blurred image: sharp pixels from the guide, blurred ones from the level below.

    Attributes:
        halo: low-resolution pixels around a tile that its core's values can depend on.
        align: H, W and tile origins are multiples of this.
    """

    halo: int = 4
    align: int = 1
    slopes: torch.Tensor

    def __init__(self, config: GuidedUpsamplingConfig | None = None) -> None:
        super().__init__()
        self.config = config or GuidedUpsamplingConfig()
        width = self.config.width
        self.enlarge = fixed(enlarging().repeat(6, 1, 1, 1), groups=6)
        self.gather = fixed(torch.eye(4).view(4, 1, 2, 2).repeat(3, 1, 1, 1), groups=3, stride=2)
        slopes = [NETWORK_RADIUS / reach for reach in self.config.near_focus]
        self.register_buffer("slopes", torch.tensor(slopes).view(1, -1, 1, 1), persistent=False)
        inputs = 12 + 7 + len(slopes)  # with five of them 24: a multiple of what vector units take at a time
        layers: list[nn.Module] = []
        for i in range(self.config.layers):
            layers += [convolution(inputs if i == 0 else width, width), nn.ReLU()]
        self.features = nn.Sequential(*layers, convolution(width, width, 1), nn.ReLU())
        self.shares = convolution(width, 8, 1)

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
        sharp = self.gather(image_high)  # pixel_unshuffle, without its 6-d transpose
        enlarged = self.enlarge(scene[:, :6])
        low, blurred = enlarged[:, :12], enlarged[:, 12:]
        near = torch.relu(1.0 - scene[:, 6:].abs() * self.slopes)
        shares = torch.sigmoid(self.shares(self.features(torch.cat([sharp, scene, near], dim=1))))
        shares = (1.04 * shares - 0.02).clamp(0.0, 1.0)  # so that 0 and 1 are reached: in focus nothing is lost
        detail, tone = (torch.cat([part] * 3, dim=1) for part in (shares[:, :4], shares[:, 4:]))
        mixed = blurred + detail * (sharp - low) + tone * (low - blurred)
        return F.pixel_shuffle(mixed, 2).clamp(0.0, 1.0)

"""Guided upsampling: one level of blur up, led by the sharp image; the same weights serve every level.

From DeepLens (Wang et al. 2018, sec. 3.3): H = M_A · A + M_L · L̂ (Eq. 3), applied recurrently until full resolution.
Ours: the sum is taken by bands of detail, H = L̂ + M₁ · (A − A') + M₂ · (A' − Â) + M₃ · (Â − Â') + M₄ · (Â' − L̂). Â is
the sharp image of the level below, enlarged like L̂; A' and Â' are A and Â, slightly softened. All M alike are Eq. 3;
apart they fade detail under slight blur as a disc does, the finest first, and keep it behind a blurred edge. The
network runs at the low resolution, each of its pixels with the four that it becomes: a quarter of the work.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.optics import NETWORK_RADIUS
from .filters import convolution, disc, enlarging, fixed, gathering, softly_enlarging

LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue, ITU-R BT.601."""

BANDS = 4
"""Parts of the detail that are kept or faded by themselves."""


@dataclass(frozen=True)
class GuidedUpsamplingConfig:
    """Sizes of the network.

    Attributes:
        width: channels of the features.
        layers: 3×3 convolutions that make them; each adds one low-resolution pixel to the receptive field. A 1×1 one
            follows.
        near_focus: widths in low-resolution pixels of the maps max(0, 1 − |c| / width). How much of the finest band a
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
        self.gather = fixed(gathering(torch.ones(1, 1)).repeat(3, 1, 1, 1), groups=3, stride=2)
        self.soften = fixed(gathering(disc(1.0, reach=1)).repeat(3, 1, 1, 1), groups=3, stride=2)
        self.luma = fixed(torch.cat([weight * torch.eye(4) for weight in LUMA], dim=1)[..., None, None])
        self.enlarge = fixed(enlarging().repeat(6, 1, 1, 1), groups=6)
        self.enlarge_softly = fixed(softly_enlarging().repeat(3, 1, 1, 1), groups=3)
        slopes = [NETWORK_RADIUS / reach for reach in self.config.near_focus]
        self.register_buffer("slopes", torch.tensor(slopes).view(1, -1, 1, 1), persistent=False)
        inputs = 4 + 7 + len(slopes)  # with five of them 16: a multiple of what vector units take at a time
        layers: list[nn.Module] = []
        for i in range(self.config.layers):
            layers += [convolution(inputs if i == 0 else width, width), nn.ReLU()]
        self.features = nn.Sequential(*layers, convolution(width, width, 1), nn.ReLU())
        self.shares = convolution(width, 4 * BANDS, 1)

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
        sharp, soft = self.gather(image_high), self.soften(image_high)  # of each pixel's four children, as the rest
        enlarged, broad = self.enlarge(scene[:, :6]), self.enlarge_softly(scene[:, :3])
        low, blurred = enlarged[:, :12], enlarged[:, 12:]
        near = torch.relu(1.0 - scene[:, 6:].abs() * self.slopes)
        shares = torch.sigmoid(self.shares(self.features(torch.cat([self.luma(sharp), scene, near], dim=1))))
        shares = (1.04 * shares - 0.02).clamp(0.0, 1.0)  # so that 0 and 1 are reached: in focus nothing is lost
        mixed = blurred
        for band, detail in enumerate((sharp - soft, soft - low, low - broad, broad - blurred)):
            mixed = mixed + torch.cat([shares[:, 4 * band : 4 * band + 4]] * 3, dim=1) * detail
        return F.pixel_shuffle(mixed, 2).clamp(0.0, 1.0)

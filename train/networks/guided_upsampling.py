"""Guided upsampling: one level of blur up, led by the sharp image; the same weights serve every level.

From DeepLens (Wang et al. 2018, sec. 3.3): H = M_A · A + M_L · L̂ (Eq. 3), applied recurrently until full resolution.
Ours: the sum is taken by bands of detail, H = L̂ + M₁ · (A − A') + M₂ · (A' − Â) + M₃ · (Â − Â') + M₄ · (Â' − L̂). Â is
the sharp image of the level below, enlarged like L̂; A' and Â' are A and Â, slightly softened. All M alike are Eq. 3;
apart they fade detail under slight blur as a disc does, the finest first, and keep it behind a blurred edge. How much
contrast the lower level has kept is measured, not only guessed from the defocus, which may be wrong. The network runs
at the low resolution, each of its pixels with the four that it becomes: a quarter of the work.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.pipeline.optics import NETWORK_RADIUS
from .filters import FixedConvolution, convolution, disc, enlarging, gathering, softly_enlarging

LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue, ITU-R BT.601."""

AROUND = 5
"""Side in low-resolution pixels of the mean from which contrast is measured."""

FLAT = 1e-4
"""Mean square of contrast under which there is none: a hundredth of white, some three steps of an 8-bit picture."""

BANDS = 4
"""Parts of the detail that are kept or faded by themselves."""

STRETCH = 1.04
"""By which shares are stretched about a half, so that 0 and 1 are reached: in focus nothing is lost."""


@dataclass(frozen=True)
class GuidedUpsamplingConfig:
    """Sizes of the network.

    Attributes:
        width: channels of the features.
        layers: 3×3 convolutions that make them; each adds one low-resolution pixel to the receptive field. A 1×1 one
            follows.
        near_focus: widths in low-resolution pixels of the maps max(0, 1 − |c| / width). How much of the finest band a
            lens keeps falls from all to nothing within these; the defocus itself, in units of 8, hardly moves there.
        windows: sides in low-resolution pixels of the squares in which kept contrast is measured, odd.
    """

    width: int = 16
    layers: int = 2
    near_focus: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    windows: tuple[int, ...] = (3, 5)

    def __post_init__(self) -> None:
        object.__setattr__(self, "near_focus", tuple(self.near_focus))  # JSON brings lists
        object.__setattr__(self, "windows", tuple(self.windows))


class GuidedUpsamplingNet(nn.Module):
    """Doubles the resolution of a blurred image: sharp pixels from the guide, blurred ones from the level below.

    Attributes:
        halo: low-resolution pixels around a tile that its core's values can depend on.
        align: H, W and tile origins are multiples of this.
    """

    halo: int = 6
    align: int = 1
    slopes: torch.Tensor

    def __init__(self, config: GuidedUpsamplingConfig | None = None) -> None:
        super().__init__()
        self.config = config or GuidedUpsamplingConfig()
        width = self.config.width
        self.gather = FixedConvolution(gathering(torch.ones(1, 1)).repeat(3, 1, 1, 1), groups=3, stride=2)
        self.soften = FixedConvolution(gathering(disc(1.0, reach=1)).repeat(3, 1, 1, 1), groups=3, stride=2)
        self.luma = FixedConvolution(torch.cat([weight * torch.eye(4) for weight in LUMA], dim=1)[..., None, None])
        self.enlarge = FixedConvolution(enlarging().repeat(6, 1, 1, 1), groups=6)
        self.enlarge_softly = FixedConvolution(softly_enlarging().repeat(3, 1, 1, 1), groups=3)
        slopes = [NETWORK_RADIUS / reach for reach in self.config.near_focus]
        self.register_buffer("slopes", torch.tensor(slopes).view(1, -1, 1, 1), persistent=False)
        lumas = torch.zeros(2, 6, 1, 1)
        lumas[0, :3, 0, 0] = lumas[1, 3:, 0, 0] = torch.tensor(LUMA)
        self.lumas = FixedConvolution(lumas)
        measured = len(slopes) + len(self.config.windows)
        inputs = 4 + 5 + measured  # by default 16: a multiple of what vector units take at a time
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
        scene = torch.cat([image_low, blurred_low, defocus_low], dim=1)
        sharp, soft = self.gather(image_high), self.soften(image_high)  # of each pixel's four children, as the rest
        enlarged, broad = self.enlarge(scene[:, :6]), self.enlarge_softly(scene[:, :3])
        low, blurred = enlarged[:, :12], enlarged[:, 12:]
        shares = self.predicted(self.luma(sharp), scene[:, :6], scene[:, 3:])
        shares = (STRETCH * shares - (STRETCH - 1) / 2).clamp(0.0, 1.0)
        mixed = blurred
        for band, detail in enumerate((sharp - soft, soft - low, low - broad, broad - blurred)):
            mixed = mixed + torch.cat([shares[:, 4 * band : 4 * band + 4]] * 3, dim=1) * detail
        return F.pixel_shuffle(mixed, 2).clamp(0.0, 1.0)

    def predicted(self, luma: torch.Tensor, pictures: torch.Tensor, blurred: torch.Tensor) -> torch.Tensor:
        """The share of each band that each child keeps, [N, 4 · BANDS, H, W] in (0, 1), before it is stretched.

        Args:
            luma: [N, 4, H, W], of each pixel's four children in the sharp picture.
            pictures: [N, 6, H, W], sharp and blurred.
            blurred: [N, 4, H, W], blurred picture and defocus.
        """
        near = torch.relu(1.0 - blurred[:, 3:].abs() * self.slopes)
        grey = self.lumas(pictures)
        inputs = [luma, grey[:, :1], blurred, near, *self.kept(grey)]
        return torch.sigmoid(self.shares(self.features(torch.cat(inputs, dim=1))))

    def kept(self, grey: torch.Tensor) -> list[torch.Tensor]:
        """How much of the contrast around a pixel the blur has left, one [N, 1, H, W] for each window.

        The slope of the blurred luma over the sharp one, as a guided filter has it (He et al. 2013, Eq. 5), but of
        their differences from the local mean: the variance as a difference of means would be noise in half precision.

        Args:
            grey: [N, 2, H, W], luma of the sharp and of the blurred picture.
        """
        contrast = grey - F.avg_pool2d(grey, AROUND, 1, AROUND // 2)
        sharp, blurred = contrast[:, :1], contrast[:, 1:]
        products = torch.cat([blurred * sharp, sharp * sharp], dim=1)
        means = (F.avg_pool2d(products, window, 1, window // 2) for window in self.config.windows)
        return [(mean[:, :1] / (mean[:, 1:] + FLAT)).clamp(-1.0, 2.0) for mean in means]

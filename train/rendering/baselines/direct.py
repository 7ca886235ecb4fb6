"""A network that blurs directly: regression without any model of a lens, trained like the rendering networks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ....runtime_ref.pipeline.stage import Stage
from ...networks.contract import NetworkContract, SizeRule
from ...networks.registry import ARCHITECTURES, Architecture, Architectures


@dataclass(frozen=True)
class DirectBlurConfig:
    """Sizes of the network; about 150,000 weights by default.

    Attributes:
        widths: channels at full, half and quarter resolution.
        dilation: of the convolution at quarter resolution; the halo holds for 1 and 2.
        slope: of the leaky ReLUs.
    """

    widths: tuple[int, int, int] = (16, 32, 64)
    dilation: int = 2
    slope: float = 0.2


class DirectBlurNet(nn.Module):
    """A U-Net from image and defocus to the change of every pixel.

    After the generator of pix2pix (Isola et al. 2017, app. 6.1): 4x4 convolutions of stride 2 down and up, leaky ReLUs,
    skip connections. Ours: two levels instead of eight and no normalisation, so that the receptive field is bounded and
    tiles agree with the whole; 3x3 convolutions at each resolution; the output is added to the image.

    Attributes:
        halo: pixels around a tile that its core's values can depend on.
        align: H, W and tile origins are multiples of this.
    """

    halo: int = 24
    align: int = 4

    def __init__(self, config: DirectBlurConfig | None = None) -> None:
        super().__init__()
        self.config = config or DirectBlurConfig()
        full, half, quarter = self.config.widths
        active, wide = nn.LeakyReLU(self.config.slope), self.config.dilation
        self.at_full = nn.Sequential(nn.Conv2d(4, full, 3, padding=1), active)
        self.at_half = nn.Sequential(_down(full, half), active, nn.Conv2d(half, half, 3, padding=1), active)
        middle = nn.Conv2d(quarter, quarter, 3, padding=wide, dilation=wide)
        self.at_quarter = nn.Sequential(_down(half, quarter), active, middle, active, _up(quarter, half), active)
        self.from_half = nn.Sequential(nn.Conv2d(2 * half, half, 3, padding=1), active, _up(half, full), active)
        last = nn.Conv2d(full, 3, 3, padding=1)
        nn.init.zeros_(last.weight)  # the start is the image itself
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        self.from_full = nn.Sequential(nn.Conv2d(2 * full, full, 3, padding=1), active, last)

    def forward(self, image: torch.Tensor, defocus: torch.Tensor) -> torch.Tensor:
        """Blur `image`.

        Args:
            image: [N, 3, H, W], sRGB-encoded, in [0, 1].
            defocus: [N, 1, H, W], signed circle-of-confusion radius in pixels of this map / 8, in [-1, 1];
                > 0 is nearer than the focal plane.

        Returns:
            [N, 3, H, W], sRGB-encoded, in [0, 1].
        """
        full = self.at_full(torch.cat([image, defocus], dim=1))
        half = self.at_half(full)
        half = self.from_half(torch.cat([half, self.at_quarter(half)], dim=1))
        return (image + self.from_full(torch.cat([full, half], dim=1))).clamp(0, 1)


def _down(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)


def _up(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


DIRECT = Architecture(
    NetworkContract(
        architecture="direct_blur",
        stage=Stage.LENS_BLUR,
        size=SizeRule(multiple=DirectBlurNet.align, least=2 * DirectBlurNet.halo + DirectBlurNet.align),
        halo=DirectBlurNet.halo,
        align=DirectBlurNet.align,
    ),
    DirectBlurNet,
    DirectBlurConfig,
)
DIRECT_ONLY = Architectures(DIRECT)
WITH_DIRECT = ARCHITECTURES.including(DIRECT)

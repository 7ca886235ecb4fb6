"""The networks of the unpaired comparison (CycleGAN, Zhu et al. 2017): a translator and a discriminator of patches.

Set-level supervision: the translator learns deep → shallow from one set of each, without depth and without a lens.
Layers follow the paper's appendix at widths that a CPU can train; the losses live in `train.systems.cyclegan`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

ALIGN = 4
"""Sides are multiples of this: the translator halves them twice."""
SMALLEST = 16
"""Smallest side in pixels that both networks take; the discriminator leaves 2 × 2 scores of it."""


@dataclass(frozen=True)
class TranslatorConfig:
    """Shape of a Translator.

    Attributes:
        width: channels at full size; twice as many at half, four times as many at a quarter.
        blocks: residual blocks at a quarter of the size. The paper has 64 and 6 for pictures of 128 pixels.
    """

    width: int = 24
    blocks: int = 4

    def __post_init__(self) -> None:
        if self.width < 1 or self.blocks < 0:
            raise ValueError(f"width must be at least 1 and blocks at least 0, not {self.width} and {self.blocks}")


class Translator(nn.Module):
    """[N, 3, H, W], sRGB-encoded in [0, 1] → the same in the style of the other set. H, W: multiples of 4 from 8 on.

    After the paper's generator: convolutions down to a quarter, residual blocks, up again, with instance normalisation
    (Ulyanov et al. 2016) and mirrored borders. Ours: it predicts the change, which starts small, so that training
    starts near the picture itself; sizes double by repetition before a convolution, which leaves no checkerboard.
    """

    def __init__(self, config: TranslatorConfig | None = None) -> None:
        super().__init__()
        self.config = config or TranslatorConfig()
        full, half, quarter = (self.config.width << k for k in range(3))
        last = nn.Conv2d(full, 3, 7, padding=3, padding_mode="reflect")
        nn.init.normal_(last.weight, std=0.005)  # from zero nothing leads away: cycle and identity are perfect there
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(
            _layer(3, full, kernel=7),
            _layer(full, half, stride=2),
            _layer(half, quarter, stride=2),
            *(Residual(quarter) for _ in range(self.config.blocks)),
            nn.Upsample(scale_factor=2),
            _layer(quarter, half),
            nn.Upsample(scale_factor=2),
            _layer(half, full),
            last,
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return (image + self.layers(2 * image - 1)).clamp(0, 1)


class Residual(nn.Module):
    """[N, channels, H, W] plus what two convolutions make of it (He et al. 2016), the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(_layer(channels, channels), *list(_layer(channels, channels))[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return x + self.change(x)


class PatchDiscriminator(nn.Module):
    """[N, 3, H, W] in [0, 1] → [N, 1, H/4 − 2, W/4 − 2]: near 1 says photo of the set, near 0 says translated.

    Every score sees 34 × 34 pixels (PatchGAN, Isola et al. 2017); the paper's 70 × 70 is more than our pictures.
    Spectral norm (Miyato et al. 2018) instead of instance normalisation, as in our other discriminator.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width]
        self.convolutions = nn.ModuleList(
            spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=stride, padding=1))
            for (inputs, outputs), stride in zip(pairwise(widths), (2, 2, 1), strict=True)
        )
        self.score = spectral_norm(nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """See the class."""
        x = 2 * image - 1
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), 0.2)
        return self.score(x)


def _layer(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, instance normalisation (which would cancel a bias), ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, padding_mode="reflect", bias=False)
    return nn.Sequential(convolution, nn.InstanceNorm2d(outputs, affine=True), nn.ReLU())

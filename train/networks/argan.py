"""The networks of AR-GAN (Kaneko 2021): a generator of all-in-focus pictures with their defocus, and a discriminator.

The author's code is not public. Layers follow what is known of it (a learned constant, AdaIN by z, transposed 4 × 4
convolutions, spectral norm in the discriminator) at widths that a CPU can train. The lens between the two lives in
`train.rendering.light_field`, the losses in `train.systems.argan`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

SMALLEST = 4
"""Side of the learned constant in pixels."""


@dataclass(frozen=True)
class GeneratorConfig:
    """Shape of a Generator.

    Attributes:
        size: side of the picture in pixels, 4 times a power of two.
        width: channels at full size; they double with every halving up to `limit`.
        limit: the most channels.
        latent: length of z.
        reach: the largest defocus at full aperture, as a share of the side: 0.1 is a disc 20 % as wide as the picture.
    """

    size: int = 64
    width: int = 24
    limit: int = 256
    latent: int = 128
    reach: float = 0.1

    def __post_init__(self) -> None:
        if self.size < 2 * SMALLEST or self.size & (self.size - 1):
            raise ValueError(f"size must be a power of two from {2 * SMALLEST} on, not {self.size}")

    @property
    def largest_defocus(self) -> float:
        """Pixels of radius."""
        return self.reach * self.size

    @property
    def widths(self) -> list[int]:
        """Channels at 4, 8, … `size` pixels."""
        halvings = (self.size // SMALLEST).bit_length() - 1
        return [min(self.limit, self.width << k) for k in range(halvings, -1, -1)]


class Generated(NamedTuple):
    """What z stands for.

    Attributes:
        image: [N, 3, S, S] all in focus, sRGB-encoded in [0, 1].
        defocus: [N, 1, S, S] at full aperture, signed radius in pixels, > 0 nearer than the focus.
    """

    image: torch.Tensor
    defocus: torch.Tensor


class Generator(nn.Module):
    """z [N, latent], standard normal → `Generated`."""

    def __init__(self, config: GeneratorConfig | None = None) -> None:
        super().__init__()
        self.config = config or GeneratorConfig()
        widths, latent = self.config.widths, self.config.latent
        self.constant = nn.Parameter(torch.randn(1, widths[0], SMALLEST, SMALLEST))
        self.first = Styled(widths[0], latent)
        self.blocks = nn.ModuleList(Doubling(inputs, outputs, latent) for inputs, outputs in pairwise(widths))
        self.image = nn.Conv2d(widths[-1], 3, 3, padding=1)
        self.depth = nn.Conv2d(widths[-1], 1, 3, padding=1)
        self.depth_scale = nn.Linear(latent, 1)
        nn.init.zeros_(self.depth_scale.weight)
        nn.init.zeros_(self.depth_scale.bias)

    def forward(self, z: torch.Tensor) -> Generated:
        """See the class."""
        x = self.first(self.constant.expand(len(z), -1, -1, -1), z)
        for block in self.blocks:
            x = block(x, z)
        return Generated(self.to_image(x), self.to_defocus(x, z))

    def to_image(self, features: torch.Tensor) -> torch.Tensor:
        """[N, width, S, S] → [N, 3, S, S] in [0, 1]."""
        return torch.sigmoid(2 * self.image(features))

    def to_defocus(self, features: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """[N, width, S, S] → [N, 1, S, S] in pixels. z sets how deep the scene is as a whole."""
        scale = torch.exp(0.5 * torch.tanh(self.depth_scale(z)))[..., None, None]
        return self.config.largest_defocus * torch.tanh(scale * self.depth(features))


class Styled(nn.Module):
    """Adaptive instance normalisation (Huang & Belongie 2017): each map is normalised, then scaled and shifted by z."""

    def __init__(self, channels: int, latent: int) -> None:
        super().__init__()
        self.style = nn.Linear(latent, 2 * channels)

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """[N, channels, H, W] → the same shape, rectified."""
        scale, shift = self.style(z)[..., None, None].chunk(2, dim=1)
        variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
        gain = (1 + scale) * torch.rsqrt(variance + 1e-4)
        return F.relu(torch.addcmul(shift - mean * gain, x, gain))


class Doubling(nn.Module):
    """Twice the size by a transposed convolution (4 × 4, stride 2), then style."""

    def __init__(self, inputs: int, outputs: int, latent: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        self.style = Styled(outputs, latent)

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] → [N, outputs, 2H, 2W]."""
        return self.style(self.enlarge(x), z)


class Discriminator(nn.Module):
    """[N, 3, S, S] in [0, 1] → [N]: > 0 says photo. Strided convolutions with spectral norm (Miyato et al. 2018)."""

    def __init__(self, size: int = 64, width: int = 32, limit: int = 256) -> None:
        super().__init__()
        halvings = (size // SMALLEST).bit_length() - 1
        widths = [3, *(min(limit, width << k) for k in range(halvings))]
        self.convolutions = nn.ModuleList(
            spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)) for inputs, outputs in pairwise(widths)
        )
        self.score = spectral_norm(nn.Linear(widths[-1] * SMALLEST**2, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """See the class."""
        x = 2 * image - 1
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), 0.2)
        return self.score(x.flatten(1))[:, 0]

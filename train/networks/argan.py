"""The networks of AR-GAN (Kaneko 2021): a generator of all-in-focus pictures with their defocus, and a discriminator.

The author's code is not public. Layers follow what is known of it (a learned constant, AdaIN by z, doublings, spectral
norm in the discriminator) at widths that a CPU can train; ours are a layout that z adds to the constant, and depth
from half the size. The lens between the two lives in
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

from ..argan_config import Norm

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
        norm: see `Styled`.
    """

    size: int = 64
    width: int = 24
    limit: int = 256
    latent: int = 128
    reach: float = 0.1
    norm: Norm = "pixel"

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
    """z [N, latent], standard normal → `Generated`. It has one viewpoint only; see `viewpoint` for those with more.

    Class attributes:
        POSE: numbers that the viewpoint adds to z wherever z styles a layer.
    """

    POSE = 0

    def __init__(self, config: GeneratorConfig | None = None) -> None:
        super().__init__()
        self.config = config or GeneratorConfig()
        style = self.config.latent + self.POSE
        widths = self._start(style)
        self.blocks = nn.ModuleList(
            Doubling(inputs, outputs, style, self.config.norm) for inputs, outputs in pairwise(widths)
        )
        self.image = nn.Conv2d(widths[-1], 3, 3, padding=1)
        self.depth = nn.Conv2d(widths[-2], 1, 3, padding=1)
        self.depth_scale = nn.Linear(self.config.latent, 1)
        nn.init.zeros_(self.depth_scale.weight)
        nn.init.zeros_(self.depth_scale.bias)

    def forward(self, z: torch.Tensor, view: torch.Tensor | None = None) -> Generated:
        """See the class.

        Args:
            z: [N, latent].
            view: [N, 2], azimuth and elevation in radians; None looks from the front.
        """
        view = z.new_zeros(len(z), 2) if view is None else view
        style = self.styles(z, view)
        x = coarse = self.started(style, view)
        for block in self.blocks:
            coarse, x = x, block(x, style)
        return Generated(self.to_image(x), self.to_defocus(coarse, z))

    def styles(self, z: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
        """What styles the layers: [N, latent + POSE]."""
        return z

    def started(self, style: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
        """What the first of `blocks` gets: [N, C, H, W]."""
        layout = self.layout(style).reshape(len(style), *self.constant.shape[1:])
        return self.first(self.constant + layout, style)

    def _start(self, style: int) -> list[int]:
        """Make what `started` needs, z's part `style` numbers long; the channels before and after each of `blocks`."""
        widths = self.config.widths
        self.constant = nn.Parameter(torch.randn(1, widths[0], SMALLEST, SMALLEST))
        self.layout = nn.Linear(style, widths[0] * SMALLEST**2)
        nn.init.zeros_(self.layout.weight)
        nn.init.zeros_(self.layout.bias)
        self.first = Styled(widths[0], style, self.config.norm)
        return widths

    def to_image(self, features: torch.Tensor) -> torch.Tensor:
        """[N, width, S, S] → [N, 3, S, S] in [0, 1]."""
        return torch.sigmoid(2 * self.image(features))

    def to_defocus(self, features: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """[N, C, S/2, S/2] → [N, 1, S, S] in pixels. z sets how deep the scene is as a whole.

        From half the size: at full size depth takes on the texture of the picture.
        """
        scale = torch.exp(0.5 * torch.tanh(self.depth_scale(z)))[..., None, None]
        depth = F.interpolate(self.depth(features), scale_factor=2, mode="bilinear", align_corners=False)
        return self.config.largest_defocus * torch.tanh(scale * depth)


class Styled(nn.Module):
    """What is normalised, then scaled and shifted by z, then rectified.

    instance: each map by itself, over its pixels (AdaIN, Huang & Belongie 2017). That takes from every map how much of
    it there is, so that no map can be empty; what few and narrow layers are left to make is texture.
    pixel: the channels of each pixel together (Karras et al. 2018, sec. 4.2).
    """

    def __init__(self, channels: int, latent: int, norm: Norm = "pixel") -> None:
        super().__init__()
        self.style = nn.Linear(latent, 2 * channels)
        self.norm = norm

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """[N, channels, H, W] or [N, channels, D, H, W] → the same shape."""
        inner = tuple(range(2, x.ndim))
        scale, shift = self.style(z)[(..., *(None for _ in inner))].chunk(2, dim=1)
        if self.norm == "pixel":
            x = x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-4)
            return F.leaky_relu(torch.addcmul(shift, x, 1 + scale), 0.2)
        variance, mean = torch.var_mean(x, dim=inner, correction=0, keepdim=True)
        gain = (1 + scale) * torch.rsqrt(variance + 1e-4)
        return F.relu(torch.addcmul(shift - mean * gain, x, gain))


class Doubling(nn.Module):
    """Twice the size by repeating every pixel, a convolution over 3 pixels an axis, then style.

    Computed as the one transposed convolution that equals both: half the multiplications, and none of the checkered
    pattern that a free one leaves.
    """

    def __init__(self, inputs: int, outputs: int, latent: int, norm: Norm = "pixel", solid: bool = False) -> None:
        super().__init__()
        self.enlarge = (nn.Conv3d if solid else nn.Conv2d)(inputs, outputs, 3, padding=1)
        self.style = Styled(outputs, latent, norm)

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] → [N, outputs, 2H, 2W]; so with D where `solid`."""
        return self.style(self.enlarged(x), z)

    def enlarged(self, x: torch.Tensor) -> torch.Tensor:
        """Without style."""
        axes = range(2, x.ndim)
        kernel = self.enlarge.weight.transpose(0, 1).flip(*axes)
        for axis in axes:  # every weight acts on both copies of a pixel
            edge = [0, 0] * (x.ndim - 1 - axis)
            kernel = F.pad(kernel, [*edge, 0, 1]) + F.pad(kernel, [*edge, 1, 0])
        convolve = F.conv_transpose3d if x.ndim == 5 else F.conv_transpose2d
        return convolve(x, kernel, self.enlarge.bias, stride=2, padding=1)


class Discriminated(NamedTuple):
    """What the discriminator finds.

    Attributes:
        score: [N], > 0 says photo.
        identity: [N, latent], the z that it takes the picture to be made from; None where it was not asked to learn.
    """

    score: torch.Tensor
    identity: torch.Tensor | None


class Discriminator(nn.Module):
    """[N, 3, S, S] in [0, 1] → [N]: > 0 says photo. Strided convolutions with spectral norm (Miyato et al. 2018).

    With `latent` it also tells z from a picture (the identity regulariser of HoloGAN).
    """

    def __init__(self, size: int = 64, width: int = 32, limit: int = 256, latent: int = 0) -> None:
        super().__init__()
        halvings = (size // SMALLEST).bit_length() - 1
        widths = [3, *(min(limit, width << k) for k in range(halvings))]
        self.convolutions = nn.ModuleList(
            spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)) for inputs, outputs in pairwise(widths)
        )
        self.score = spectral_norm(nn.Linear(widths[-1] * SMALLEST**2, 1))
        self.identity = nn.Linear(widths[-1] * SMALLEST**2, latent) if latent else None

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.judged(image).score

    def judged(self, image: torch.Tensor) -> Discriminated:
        """Score and, where there is such a head, z."""
        x = 2 * image - 1
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), 0.2)
        x = x.flatten(1)
        return Discriminated(self.score(x)[:, 0], None if self.identity is None else self.identity(x))

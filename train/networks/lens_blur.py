"""Lens blur at the lowest level: the photo and its defocus map in, the photo blurred as by a lens out.

From DeepLens (Wang et al. 2018, sec. 3.2): features of each colour by shared weights, non-negative kernels predicted
from image and defocus, and their normalised sum (Eq. 2). Ours: squared values as approximately linear light, a kernel
path at half resolution, dilated convolutions, and a receptive field bounded for tiling.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class LensBlurConfig:
    """Sizes of the network; the defaults reach 11 px for features and 16 px for kernels.

    Attributes:
        feature_widths: maps of the four feature convolutions; with the colour itself they are the c maps of Eq. 2.
        feature_kernels, feature_dilations: of the same convolutions, summing to a radius of at least 8 px.
        kernel_width: channels of the half-resolution kernel path.
        kernel_dilations: of its convolutions; the blur scatters from 8 px away, so the path must see at least so far.
        head_width: channels of the full-resolution kernel head.
        epsilon: weight that the pixel's own colour always has; 1e-3 is far above fp16's smallest normal 6e-5.
    """

    feature_widths: tuple[int, int, int, int] = (8, 8, 8, 7)
    feature_kernels: tuple[int, int, int, int] = (3, 5, 5, 5)
    feature_dilations: tuple[int, int, int, int] = (1, 1, 2, 2)
    kernel_width: int = 32
    kernel_dilations: tuple[int, ...] = (1, 2, 1, 1)
    head_width: int = 24
    epsilon: float = 1e-3

    @property
    def maps(self) -> int:
        """c of Eq. 2: the feature maps of one colour, the colour itself among them."""
        return 1 + sum(self.feature_widths)


def _convolution(inputs: int, outputs: int, size: int = 3, dilation: int = 1, stride: int = 1) -> nn.Conv2d:
    """A convolution with zero 'same' padding."""
    padding = dilation * (size // 2)
    return nn.Conv2d(inputs, outputs, size, stride=stride, padding=padding, dilation=dilation)


def _towards_identity(weights: nn.Conv2d) -> nn.Conv2d:
    """Start near pass-through: the colour itself, map 0, weighs most; no map starts cut off by its ReLU."""
    assert weights.bias is not None
    nn.init.constant_(weights.bias, 0.1)
    with torch.no_grad():
        weights.bias[0] = 3.0
    return weights


class ColourFeatures(nn.Module):
    """Features of one colour, by weights that all three share (Wang et al. 2018, sec. 3.2)."""

    def __init__(self, config: LensBlurConfig) -> None:
        super().__init__()
        sources = (1, *config.feature_widths[:-1])
        shapes = zip(sources, config.feature_widths, config.feature_kernels, config.feature_dilations, strict=True)
        self.layers = nn.ModuleList(_convolution(*shape) for shape in shapes)

    def forward(self, colour: torch.Tensor) -> torch.Tensor:
        """Linear `colour` [N, 1, H, W] → all layers' maps [N, c, H, W], the colour itself first."""
        maps = [colour]
        for layer in self.layers:
            maps.append(torch.relu(layer(maps[-1])))
        return torch.cat(maps, dim=1)


class KernelPrediction(nn.Module):
    """Weights of the feature maps at every pixel, from the image and its defocus."""

    def __init__(self, config: LensBlurConfig) -> None:
        super().__init__()
        width = config.kernel_width
        context: list[nn.Module] = [_convolution(4, width, stride=2), nn.ReLU()]
        for dilation in config.kernel_dilations:
            context += [_convolution(width, width, dilation=dilation), nn.ReLU()]
        self.context = nn.Sequential(*context)
        self.head = nn.Sequential(
            _convolution(width + 4, config.head_width),
            nn.ReLU(),
            _convolution(config.head_width, config.head_width),
            nn.ReLU(),
            _towards_identity(_convolution(config.head_width, config.maps, size=1)),
            nn.ReLU(),
        )

    def forward(self, scene: torch.Tensor) -> torch.Tensor:
        """`scene` [N, 4, H, W]: image and defocus → non-negative weights [N, c, H, W]."""
        context = F.interpolate(self.context(scene), scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.head(torch.cat([context, scene], dim=1))


class LensBlurNet(nn.Module):
    """Blurs an image as a lens would, given its signed defocus.

    A pixel whose predicted weights are all zero passes through unchanged: the colour itself carries the small weight
    `epsilon` in both sums of Eq. 2 (ours; the paper has it in the denominator alone, which turns such a pixel black).

    Attributes:
        halo: pixels around a tile that its core's values can depend on.
        align: H, W and tile origins are multiples of this (the kernel path runs at half resolution).
    """

    halo: int = 16
    align: int = 2

    def __init__(self, config: LensBlurConfig | None = None) -> None:
        super().__init__()
        self.config = config or LensBlurConfig()
        self.features = ColourFeatures(self.config)
        self.kernels = KernelPrediction(self.config)

    def forward(self, image: torch.Tensor, defocus: torch.Tensor) -> torch.Tensor:
        """Blur `image`.

        Args:
            image: [N, 3, H, W], sRGB-encoded, in [0, 1].
            defocus: [N, 1, H, W], signed circle-of-confusion radius in pixels of this map / 8, in [-1, 1];
                > 0 is nearer than the focal plane.

        Returns:
            [N, 3, H, W], sRGB-encoded, in [0, 1].
        """
        scene = torch.cat([image, defocus], dim=1)
        kernels = self.kernels(scene)
        light = image * image  # close to linear light, and exact in fp16 on every delegate
        total = kernels.sum(dim=1, keepdim=True) + self.config.epsilon
        sums = []
        for i in range(3):  # a loop exports to plain convolutions with shared weights; a batch of 3 costs transposes
            colour = light[:, i : i + 1]
            sums.append((kernels * self.features(colour)).sum(dim=1, keepdim=True) + self.config.epsilon * colour)
        blurred = torch.cat(sums, dim=1) / total
        return torch.sqrt(blurred.clamp(1e-6, 1.0))  # the floor keeps the root's gradient finite; it is 0.25 / 255

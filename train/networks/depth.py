"""The depth network: one photo in, normalised disparity out. Its encoders live in `efficientnet_lite` and
`depth_encoders`.

From the paper (Wang et al. 2018, "DeepLens", Sec. 4.1): a classification encoder, a 4-level pyramid pooling module
(bins 1, 2, 4, 8), a decoder of bilinear ×2 steps with skips, and two heads, disparity and foreground, of which the
second serves training only. Ours: encoders for phones, input of any multiple of 32 and any aspect, BatchNorm + ReLU6
throughout (they fold and fuse in every runtime, and bound what 8 bits have to hold), and a disparity that is clipped
rather than normalised: the network learns to fill [0,1], and a flat picture may stay flat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.pipeline.aspects import USUAL_SIZES, nearest_shape
from .depth_encoders import ResNet50Encoder
from .efficientnet_lite import EfficientNetLite, lite0, lite2
from .filters import twice
from .rounding import RoundedConv2d, Rounds

PYRAMID_BINS = (1, 2, 4, 8)
RANGE = 6.0  # of the disparity head: ReLU6 is the one clipping that every runtime fuses into the convolution before it

Encoder = Literal["efficientnet_lite0", "efficientnet_lite2", "resnet50"]
_ENCODERS = {"efficientnet_lite0": lite0, "efficientnet_lite2": lite2, "resnet50": ResNet50Encoder}


@dataclass(frozen=True)
class DepthConfig:
    """Shape of a DepthNet.

    Attributes:
        encoder: "efficientnet_lite0" (for phones, 3 M parameters), "efficientnet_lite2" or "resnet50" (the paper's).
        pyramid: channels of the coarse map after pyramid pooling.
        decoder: channels at strides 16, 8, 4 and 2; an encoder that keeps a finer map needs the last ones only.
    """

    encoder: Encoder = "efficientnet_lite0"
    pyramid: int = 128
    decoder: tuple[int, int, int, int] = (96, 64, 48, 24)

    def __post_init__(self) -> None:
        if self.encoder not in _ENCODERS:
            raise ValueError(f"encoder must be one of {', '.join(_ENCODERS)}, not '{self.encoder}'")
        object.__setattr__(self, "decoder", tuple(self.decoder))  # JSON brings a list


class DepthNet(nn.Module):
    """Photo -> disparity. The input's sides are multiples of 32, in any aspect."""

    def __init__(self, config: DepthConfig | None = None) -> None:
        super().__init__()
        self.config = config or DepthConfig()
        self.encoder: EfficientNetLite | ResNet50Encoder = _ENCODERS[self.config.encoder]()
        self.pyramid = PyramidPooling(self.encoder.channels, self.config.pyramid)
        widths = (self.config.pyramid, *self.config.decoder[-len(self.encoder.skips) :])
        self.steps = nn.ModuleList(
            Step(inputs, skip, outputs)
            for inputs, skip, outputs in zip(widths[:-1], self.encoder.skips, widths[1:], strict=True)
        )
        self.disparity = RoundedConv2d(widths[-1], 1, 3, padding=1)
        self.foreground = RoundedConv2d(widths[-1], 1, 3, padding=1)
        nn.init.constant_(self.disparity.bias, RANGE / 2)  # pyright: ignore[reportArgumentType]

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the input that suits a photo of `height` × `width`: the usual one of nearest aspect."""
        return nearest_shape((height, width), USUAL_SIZES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Normalised disparity of a whole photo.

        Args:
            image: [N, 3, H, W] in [0,1], sRGB-encoded; H and W multiples of 32.

        Returns:
            [N, 1, H, W] in [0,1], 1 is nearest; affine in inverse depth, its range learned to be the photo's own.
        """
        return twice(F.relu6(self.disparity(self._decode(image))) * (1 / RANGE))

    def heads(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """For training: disparity before it is clipped, and the foreground's logits, each [N, 1, H, W]."""
        features = self._decode(image)
        with torch.autocast(image.device.type, enabled=False):  # bfloat16 tells 1 from 0.996 at best
            features = features.float()
            return twice(self.disparity(features) * (1 / RANGE)), twice(self.foreground(features))

    def subject(self, image: torch.Tensor) -> torch.Tensor:
        """The probability that a pixel belongs to the photo's subject, [N, 1, H, W]; no part of exported graphs."""
        return torch.sigmoid(twice(self.foreground(self._decode(image))))

    def _decode(self, image: torch.Tensor) -> torch.Tensor:
        coarse, finer = self.encoder(image)
        x = self.pyramid(coarse)
        for step, skip in zip(self.steps, finer, strict=True):
            x = step(x, skip)
        return x


class PyramidPooling(nn.Module):
    """The whole picture's context at every place: averages over 1, 4, 16 and 64 cells, reduced, brought back to size
    and concatenated with the map itself (Zhao et al. 2017, "PSPNet"). No BatchNorm on the averages: a batch of one has
    no statistics for a single cell."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        reduced = inputs // len(PYRAMID_BINS)
        self.reduce = nn.ModuleList(RoundedConv2d(inputs, reduced, 1) for _ in PYRAMID_BINS)
        self.merge = _conv_bn(inputs + reduced * len(PYRAMID_BINS), outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] -> [N, outputs, H, W]."""
        size = int(x.shape[2]), int(x.shape[3])  # plain numbers: exported graphs have a fixed size
        maps = [x]
        for bins, reduce in zip(PYRAMID_BINS, self.reduce, strict=True):
            (tall, down), (wide, across) = cells(size[0], bins), cells(size[1], bins)
            cell = F.relu6(reduce(F.avg_pool2d(x, (tall, wide), (down, across))))
            maps.append(F.interpolate(cell, size=size, mode="bilinear", align_corners=False))
        return F.relu6(self.merge(torch.cat(maps, dim=1)))


def cells(size: int, bins: int) -> tuple[int, int]:
    """(window, stride) of an average pooling of `size` pixels into `bins` windows, or `size` if that is fewer.

    All windows are alike and cover everything, overlapping where `bins` does not divide `size`: what every runtime has,
    other than adaptive pooling.
    """
    bins = min(bins, size)
    stride = size // bins
    return size - (bins - 1) * stride, stride


class Step(Rounds):
    """One ×2 step of the decoder: the coarse map, reduced and enlarged, plus the skip, filtered 3×3."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.reduce = _conv_bn(inputs, outputs, 1)
        self.lateral = _conv_bn(skip, outputs, 1)
        self.filter = _conv_bn(outputs, outputs, 3)

    def forward(self, coarse: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] and [N, skip, 2H, 2W] -> [N, outputs, 2H, 2W]."""
        total = twice(self.kept(self.reduce(coarse))) + self.kept(self.lateral(skip))
        return F.relu6(self.filter(F.relu6(total)))


def _conv_bn(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    convolution = RoundedConv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))

"""The networks of Pix2Pix (Isola et al. 2017): a U-Net from photo to disparity, and a discriminator of 70 × 70 patches.

Layers, strides, normalisation, dropout and initialisation follow the paper's appendix 6.1; the losses live in
`train.systems.pix2pix`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

SMALLEST = 32
"""Smallest side of a picture in pixels."""
DEEPEST = 8
"""Width of the inner layers, in units of the first one's."""
NOISY = 3
"""Layers after the bottleneck that drop half of their values: the paper's noise."""


@dataclass(frozen=True)
class Pix2PixConfig:
    """Shape of a Pix2PixGenerator.

    Attributes:
        size: side of the pictures in pixels, a power of two; each layer halves it down to 1. The paper has 256.
        width: channels of the first layer, at most eight times as many below. The paper has 64.
        outputs: channels of the result; 1 for disparity.
    """

    size: int = 256
    width: int = 64
    outputs: int = 1

    def __post_init__(self) -> None:
        if self.size < SMALLEST or self.size & (self.size - 1):
            raise ValueError(f"size must be a power of two from {SMALLEST} on, not {self.size}")
        if self.width < 1 or self.outputs < 1:
            raise ValueError(f"width and outputs must be at least 1, not {self.width} and {self.outputs}")

    @property
    def widths(self) -> list[int]:
        """Channels of each layer on the way down."""
        return [self.width * min(DEEPEST, 2**level) for level in range(self.size.bit_length() - 1)]


class Pix2PixGenerator(nn.Module):
    """[N, 3, H, W], sRGB-encoded in [0, 1] → [N, outputs, H, W] in [0, 1]. H, W: multiples of `config.size`.

    Batch normalisation takes the statistics of the pictures at hand, in use as in training (the paper's choice). With
    the pictures one at a time it is an instance normalisation, and a picture's result depends on nothing else.
    """

    def __init__(self, config: Pix2PixConfig | None = None) -> None:
        super().__init__()
        self.config = config or Pix2PixConfig()
        widths = self.config.widths
        last = len(widths) - 1
        self.down = nn.ModuleList(
            _Down(inputs, outputs, first=level == 0, normalised=level not in (0, last))
            for level, (inputs, outputs) in enumerate(pairwise([3, *widths]))
        )
        # The innermost layer has no skip; every other one sees the way down beside the way up.
        goals = [*reversed(widths[:-1]), self.config.outputs]
        sources = [widths[-1], *(2 * width for width in reversed(widths[:-1]))]
        noisy = range(1, 1 + NOISY) if last > NOISY + 1 else ()
        self.up = nn.ModuleList(
            _Up(inputs, outputs, final=level == last, noisy=level in noisy)
            for level, (inputs, outputs) in enumerate(zip(sources, goals, strict=True))
        )
        self.apply(initialise)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """See the class."""
        x = 2 * image - 1
        skips = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        for number, layer in enumerate(self.up):
            x = layer(x if number == 0 else torch.cat([x, skips[-1 - number]], dim=1))
        return (torch.tanh(x) + 1) / 2

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the input for a photo: the square it was trained at, whatever the photo's shape."""
        del height, width
        return self.config.size, self.config.size


class _Down(nn.Sequential):
    """Half the size: leaky ReLU (but for the first layer), convolution, normalisation."""

    def __init__(self, inputs: int, outputs: int, first: bool, normalised: bool) -> None:
        layers: list[nn.Module] = [] if first else [nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False))
        if normalised:  # not the first; nor the innermost, whose single pixel it would erase
            layers.append(nn.BatchNorm2d(outputs, track_running_stats=False))
        super().__init__(*layers)


class _Up(nn.Sequential):
    """Twice the size: ReLU, transposed convolution, normalisation (but for the last layer), perhaps dropout."""

    def __init__(self, inputs: int, outputs: int, final: bool, noisy: bool) -> None:
        layers: list[nn.Module] = [nn.ReLU()]
        layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=final))
        if not final:
            layers.append(nn.BatchNorm2d(outputs, track_running_stats=False))
        if noisy:
            layers.append(nn.Dropout(0.5))
        super().__init__(*layers)


class PairDiscriminator(nn.Module):
    """A photo [N, 3, H, W] and a map [N, outputs, H, W], both in [0, 1] → logits [N, 1, H/8 − 2, W/8 − 2], above 0
    where the map seems to be the photo's true one. Every logit sees 70 × 70 pixels."""

    def __init__(self, width: int = 64, outputs: int = 1) -> None:
        super().__init__()
        widths = [width * factor for factor in (1, 2, 4, 8)]
        layers: list[nn.Module] = [nn.Conv2d(3 + outputs, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for (inputs, goal), stride in zip(pairwise(widths), (2, 2, 1), strict=True):
            layers.append(nn.Conv2d(inputs, goal, 4, stride=stride, padding=1, bias=False))
            layers += [nn.BatchNorm2d(goal, track_running_stats=False), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.apply(initialise)

    def forward(self, image: torch.Tensor, disparity: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.layers(2 * torch.cat([image, disparity], dim=1) - 1)


def initialise(module: nn.Module) -> None:
    """Weights from a normal distribution of mean 0 and deviation 0.02 (the paper's 6.2); of normalisations around 1."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)

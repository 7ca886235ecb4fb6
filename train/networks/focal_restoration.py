"""The last step of the network of focal stacks: noise and compression are taken out of the merged picture."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from .filters import convolution
from .focus_matching import log_detail, luminance

WIDE = 2.0
"""Pixels of radius: how softly a second merge takes slices, which blurs more and averages more of the noise away."""
MIDDLE, SPREAD = -6.0, 4.0
"""Logarithms of detail, ln 2e-5 to about 0, come to the convolutions as (value − MIDDLE) / SPREAD."""


class PictureRestoration(nn.Module):
    """Adds what five convolutions say to a picture; before any training that is nothing.

    They see the picture, a wider merge of the slices, how blurred the sharpest slice is, and the detail of the slice
    that has least of it, which where things are out of focus is its noise, and of the one that has most.

    Args:
        width: channels in between.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inputs = (3 + 3 + 3, width, width, width)
        self.layers = nn.ModuleList(convolution(channels, width) for channels in inputs)
        self.out = convolution(width, 3)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, picture: torch.Tensor, stack: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
        """A better picture.

        Args:
            picture: [N, 3, H, W] in [0, 1], sRGB-encoded.
            stack: [N, S, 3, H, W], the same.
            here: [N, S, H, W], radius of every slice's circle of confusion in pixels.
        """
        wide = (stack * torch.softmax(-here.abs() / WIDE, 1)[:, :, None]).sum(1)
        detail = (log_detail(luminance(stack), 5) - MIDDLE) / SPREAD
        ends = torch.cat([detail.amin(1, keepdim=True), detail.amax(1, keepdim=True)], 1)
        return self.restored(picture, wide, here.abs().amin(1, keepdim=True), ends)

    def restored(
        self, picture: torch.Tensor, wide: torch.Tensor, blurred: torch.Tensor, ends: torch.Tensor
    ) -> torch.Tensor:
        """The convolutions of the above.

        Args:
            picture, wide: [N, 3, H, W].
            blurred: [N, 1, H, W], the least radius in pixels.
            ends: [N, 2, H, W], least and most detail.
        """
        maps = torch.cat([picture - 0.5, wide - 0.5, blurred, ends], 1)
        for layer in self.layers:
            maps = F.relu6(layer(maps))
        return (picture + self.out(maps)).clamp(0, 1)

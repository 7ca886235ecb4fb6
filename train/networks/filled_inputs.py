"""Convolutions whose inputs are filled up with channels of zeros, for runtimes that fail at some numbers of them.

onnxruntime-web's WebGPU kernel computes convolutions wrongly that sum over several pixels and have a number of input
channels that divides by 3 and not by 4 (6, 9, 15, 21, 33 tried; 3 is right, 1 to 5, 7, 8, 10 to 14, 16, 17, 25 are): a
lens blur at 23.5 dB. With zeros up to the next multiple of 4 it is at 149.8 dB.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F

_BLOCK = 4
_WRONG = 3


class FilledConvolution(nn.Conv2d):
    """What a convolution computes, of an input to which channels of zeros are added.

    Args:
        plain: the convolution; its weights are taken over, with zeros for the new channels.
        channels: the new number of input channels.
    """

    def __init__(self, plain: nn.Conv2d, channels: int) -> None:
        super().__init__(
            channels, plain.out_channels, plain.kernel_size, plain.stride, plain.padding,  # pyright: ignore[reportArgumentType]
            plain.dilation, bias=plain.bias is not None, padding_mode=plain.padding_mode,  # pyright: ignore[reportArgumentType]
        )  # fmt: skip
        self._added = channels - plain.in_channels
        self.weight = nn.Parameter(F.pad(plain.weight.detach(), [0, 0, 0, 0, 0, self._added]))
        self.bias = plain.bias

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Compute it; `input` has the plain convolution's channels."""
        return super().forward(F.pad(input, [0, 0, 0, 0, 0, self._added]))


def trips_webgpu(groups: int, channels: int, taps: int) -> bool:
    """Whether onnxruntime-web computes a convolution wrongly on WebGPU; see the module.

    Args:
        groups: of its channels.
        channels: input channels of a group.
        taps: pixels of its kernel.
    """
    return groups == 1 and taps > 1 and channels > _WRONG and channels % _WRONG == 0 and channels % _BLOCK != 0


def with_filled_inputs(network: nn.Module) -> nn.Module:
    """A copy of a network without such convolutions, which computes the same."""
    filled = copy.deepcopy(network)
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d):
            continue
        height, width = layer.kernel_size
        if trips_webgpu(layer.groups, layer.in_channels, height * width):
            parent, _, own = name.rpartition(".")
            channels = -(-layer.in_channels // _BLOCK) * _BLOCK
            setattr(filled.get_submodule(parent), own, FilledConvolution(layer, channels).train(layer.training))
    return filled

"""Convolutions whose inputs are filled up with channels of zeros, for a runtime that fails at some numbers of them.

Which those are is in `runtime_ref.runtime_faults`. With zeros up to a multiple of 4 the lens blur is at 149.8 dB.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.runtime_faults import WEBGPU_BLOCK, wrong_on_webgpu


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


def with_filled_inputs(network: nn.Module) -> nn.Module:
    """A copy of a network without such convolutions, which computes the same."""
    filled = copy.deepcopy(network)
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d):
            continue
        height, width = layer.kernel_size
        if wrong_on_webgpu(layer.groups, layer.in_channels, layer.out_channels, height * width):
            parent, _, own = name.rpartition(".")
            channels = -(-layer.in_channels // WEBGPU_BLOCK) * WEBGPU_BLOCK
            setattr(filled.get_submodule(parent), own, FilledConvolution(layer, channels).train(layer.training))
    return filled

"""Training for 8 bits: weights and activations rounded as integer runtimes round them, so that little is lost when they
do; and weights that lie on such a grid for good, so that storing them in 8 bits loses nothing.
"""

from __future__ import annotations

import torch
from torch import nn

STEPS = 255  # of activations, between the least and the greatest
LEVELS = 127  # of weights, on either side of 0
FAINT = 1e-4  # a filter whose weights are all smaller, BatchNorm folded in: half precision no longer tells them apart


class Rounds(nn.Module):
    """A module that rounds in training once `learn_rounding` has switched that on.

    Activations are rounded where no activation function bounds them: sums of residual blocks and of skips, and what
    goes into these.
    """

    rounds = False

    def kept(self, x: torch.Tensor) -> torch.Tensor:
        """Activations, rounded if this is a training for 8 bits; exported graphs see nothing of it."""
        return rounded(x) if self.rounds and self.training else x

    def kept_weight(self, weight: torch.Tensor) -> torch.Tensor:
        """A convolution's weight, rounded if this is a training for 8 bits."""
        return weight + (on_grid(weight) - weight).detach() if self.rounds and self.training else weight


class RoundedConv2d(nn.Conv2d, Rounds):
    """A convolution whose weight can be trained for 8 bits."""

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return super()._conv_forward(input, self.kept_weight(weight), bias)


def rounded(x: torch.Tensor) -> torch.Tensor:
    """`x` as 8 bits over its own range, least to greatest value, would hold it.

    Gradients pass the rounding as if it were none, and reach the range through the step (Esser et al. 2020, "LSQ"):
    outliers, which make the step coarse for all others, cost something.
    """
    step = ((x.amax() - x.amin()) / STEPS).clamp(min=1e-8)
    off = (torch.round(x / step) - x / step).detach()
    return x + off * step


def on_grid(weight: torch.Tensor) -> torch.Tensor:
    """A convolution's weight [O, I, kh, kw] at the nearest of the values that int8 with one scale an output can hold.

    The grid has 0 in it and ends at the greatest weight of an output. A BatchNorm that is folded in later scales whole
    outputs: what lies on this grid then lies on that of the folded weight.
    """
    step = (weight.abs().amax(dim=(1, 2, 3), keepdim=True) / LEVELS).clamp(min=torch.finfo(weight.dtype).tiny)
    return torch.round(weight / step) * step


def learn_rounding(network: nn.Module) -> None:
    """From now on the network trains for 8 bits."""
    for module in network.modules():
        if isinstance(module, Rounds):
            module.rounds = True


@torch.no_grad()
def settle(network: nn.Module) -> None:
    """Put the weights of all convolutions on their grid for good: 8 bits then store them without loss."""
    for module in network.modules():
        if isinstance(module, RoundedConv2d):
            module.weight.copy_(on_grid(module.weight))


@torch.no_grad()
def silence(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> int:
    """Set filters to 0 that `norm` leaves next to nothing of (dead outputs of an ImageNet training): in half precision
    they are noise. Their constant, the norm's bias, stays.

    Returns:
        how many there were.
    """
    assert norm.running_var is not None
    gain = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    faint = (convolution.weight.abs().amax(dim=(1, 2, 3)) * gain.abs()) < FAINT
    convolution.weight[faint] = 0
    return int(faint.sum())

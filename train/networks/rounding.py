"""Training for 8 bits: activations rounded as integer runtimes round them, so that little is lost when they do."""

from __future__ import annotations

import torch
from torch import nn

STEPS = 255


def rounded(x: torch.Tensor) -> torch.Tensor:
    """`x` as 8 bits over its own range, least to greatest value, would hold it.

    Gradients pass the rounding as if it were none, and reach the range through the step (Esser et al. 2020, "LSQ"):
    outliers, which make the step coarse for all others, cost something.
    """
    step = ((x.amax() - x.amin()) / STEPS).clamp(min=1e-8)
    off = (torch.round(x / step) - x / step).detach()
    return x + off * step


class Rounds(nn.Module):
    """A module some of whose activations can be rounded in training; `learn_rounding` switches that on.

    Those are the ones without an activation function behind them, which would bound them: sums of residual blocks and
    of skips, and what goes into these.
    """

    rounds = False

    def kept(self, x: torch.Tensor) -> torch.Tensor:
        """`x`, rounded if this is a training for 8 bits; exported graphs see nothing of it."""
        return rounded(x) if self.rounds and self.training else x


def learn_rounding(network: nn.Module) -> None:
    """From now on the network trains for 8 bits."""
    for module in network.modules():
        if isinstance(module, Rounds):
            module.rounds = True

"""A brought depth network between the images and the disparities of the pipeline."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .contract import Meaning, NetworkContract, Preprocessing

# fp16 holds 1e-3 to three digits, and it bounds how far a flat prediction's rounding noise is blown up.
LEAST_SPAN = 1e-3
LEAST_DEPTH = 1e-3
"""Depths below this, of a network that predicts depth, count as this: no inverse is infinite, in fp16 neither."""


class AdaptedDepth(nn.Module):
    """A depth network with its preprocessing before it, and its output as a disparity.

    Attributes:
        network: the network itself, whose weights and configuration a weights file holds.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, meaning: Meaning) -> None:
        super().__init__()
        self.network = network
        self._meaning = meaning
        for name in ("mean", "deviation"):
            values = torch.tensor(getattr(preprocessing, name)).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    @property
    def config(self) -> Any:
        """The network's."""
        return self.network.config

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W] in [0, 1], sRGB-encoded → disparity [N, 1, H, W] in [0, 1], 1 is nearest."""
        found = self.network((image - self.mean) / self.deviation)
        if self._meaning is Meaning.DISPARITY:
            return found
        if self._meaning is Meaning.DEPTH:
            found = 1.0 / found.clamp(min=LEAST_DEPTH)
        nearest, farthest = torch.amax(found, dim=(2, 3), keepdim=True), torch.amin(found, dim=(2, 3), keepdim=True)
        return (found - farthest) / (nearest - farthest + LEAST_SPAN)


def adapted(network: nn.Module, contract: NetworkContract) -> nn.Module:
    """The network as the pipeline calls it; one that takes images and gives what the stage gives stays itself."""
    fits = contract.meaning in (Meaning.DISPARITY, Meaning.PICTURE) and contract.preprocessing == Preprocessing()
    return network if fits else AdaptedDepth(network, contract.preprocessing, contract.meaning)


def core(network: nn.Module) -> nn.Module:
    """The network itself, of one that was perhaps adapted."""
    return network.network if isinstance(network, AdaptedDepth) else network

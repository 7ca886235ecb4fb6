"""A brought depth network between the images and the disparities of the pipeline."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ...runtime_ref.pipeline.aspects import USUAL_SIZES, Size, nearest_shape
from .contract import Meaning, NetworkContract, Preprocessing

LEAST_SPAN = 1e-3
"""Least width of a prediction's range, as a share of its greatest value: the rounding noise of a flat one is not blown
up. It is relative because scales differ by ten orders of magnitude: MiDaS gives thousands, others 1e-4."""
LEAST_VALUE = 1e-6
"""Divisors are not smaller: a prediction of zeros gives zeros. 16-bit floats hold it as a subnormal number, which ARM
cores take for zero; see `_missing`."""


class AdaptedDepth(nn.Module):
    """A depth network with its preprocessing before it, and its output as a disparity.

    Attributes:
        network: the network itself, whose weights and configuration a weights file holds.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(
        self, network: nn.Module, preprocessing: Preprocessing, meaning: Meaning, sizes: tuple[Size, ...] = ()
    ) -> None:
        """Wrap a network.

        Args:
            network: normalised image → a map.
            preprocessing: what is done to images before.
            meaning: of its map.
            sizes: of the inputs that suit it; none: dofkit's usual square.
        """
        super().__init__()
        self._sizes = sizes or USUAL_SIZES[:1]
        self.network = network
        self._meaning = meaning
        for name in ("mean", "deviation"):
            values = torch.tensor(getattr(preprocessing, name)).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    @property
    def config(self) -> Any:
        """The network's."""
        return self.network.config

    def input_size(self, height: int, width: int) -> Size:
        """(height, width) of the input that suits a photo of `height` × `width`: that of nearest aspect."""
        return nearest_shape((height, width), self._sizes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W] in [0, 1], sRGB-encoded → disparity [N, 1, H, W] in [0, 1], 1 is nearest."""
        found = self.network((image - self.mean) / self.deviation)
        match self._meaning:
            case Meaning.INVERSE_DEPTH:
                return _spread(found)
            case Meaning.DEPTH:
                return _inverted(found)
            case _:
                return found


def _spread(inverse: torch.Tensor) -> torch.Tensor:
    """Inverse depth of any scale and offset, [N, 1, H, W] → the same with its range spread over [0, 1]."""
    nearest, farthest = torch.amax(inverse, dim=(2, 3), keepdim=True), torch.amin(inverse, dim=(2, 3), keepdim=True)
    least = LEAST_SPAN * torch.maximum(nearest.abs(), farthest.abs())
    span = torch.maximum(nearest - farthest, least).clamp(min=LEAST_VALUE)
    return (inverse - farthest) / (span + _missing(span))


def _inverted(depth: torch.Tensor) -> torch.Tensor:
    """Depth of any scale, [N, 1, H, W] → disparity, 1 at the least depth and 0 at the greatest.

    near/d · (far − d)/(far − near) is (1/d − 1/far)/(1/near − 1/far) without a reciprocal, which 16-bit floats would
    not hold for small depths.
    """
    far = torch.amax(depth, dim=(2, 3), keepdim=True).clamp(min=LEAST_VALUE)
    missing = _missing(far)
    far = far + missing
    least = torch.maximum((LEAST_SPAN * far).clamp(min=LEAST_VALUE), missing)
    depth = torch.maximum(depth, least)
    near = torch.amin(depth, dim=(2, 3), keepdim=True)
    return near / depth * ((far - depth) / torch.maximum(far - near, least))


def _missing(divisor: torch.Tensor) -> torch.Tensor:
    """1 where a divisor, at least 0, is 0, else 0: LiteRT computes 0/0 in 16-bit floats on ARM, where those below
    6.1e-5 are flushed to zero. Of operations that every runtime has."""
    return 1 - torch.ceil(divisor.clamp(max=1))


def adapted(network: nn.Module, contract: NetworkContract) -> nn.Module:
    """The network as the pipeline calls it; one that takes images and gives what the stage gives stays itself."""
    fits = contract.meaning in (Meaning.DISPARITY, Meaning.PICTURE) and contract.preprocessing == Preprocessing()
    return network if fits else AdaptedDepth(network, contract.preprocessing, contract.meaning, contract.size.usual)


def core(network: nn.Module) -> nn.Module:
    """The network itself, of one that was perhaps adapted."""
    return network.network if isinstance(network, AdaptedDepth) else network

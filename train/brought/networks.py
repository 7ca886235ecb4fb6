"""A brought network as a module: one image in, one map out, of the image's size; and what is known of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.bundle import file_sha256
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.pipeline.aspects import Size
from ...runtime_ref.pipeline.stage import Stage
from ..networks.adapted import adapted
from ..networks.contract import NetworkContract
from ..weights.terms import Terms
from .terms import warnings_of

# What the map is called in outputs that name their parts.
_MAPS = ("predicted_depth", "disparity", "depth")


@dataclass(frozen=True)
class NetworkOrigin:
    """Where a brought network is from; a manifest holds it as the network's configuration.

    Attributes:
        source: name on a hub, or of a folder or file; never a path.
        format: "transformers", "exported program", "ONNX".
        model: class of the network, as far as it is known.
        kind: what it gives, see `DepthKind`; "" for other stages.
        size: "518x518": of its training, or the only one that it takes; "" where nobody said.
    """

    source: str
    format: str
    model: str = ""
    kind: str = ""
    size: str = ""


@dataclass(frozen=True, eq=False)
class Brought:
    """A network that was brought, as the pipeline calls it, in evaluation mode.

    Attributes:
        network: image → what its stage gives.
        contract: of it.
        terms: as far as they are known.
        sha256: of its weights.
        origin: where it is from.
        notes: what whoever brings it should know, a line each.
    """

    network: nn.Module
    contract: NetworkContract
    terms: Terms
    sha256: str
    origin: NetworkOrigin
    notes: tuple[str, ...] = ()

    @property
    def stage(self) -> Stage:
        """That it computes."""
        return self.contract.stage

    def under(self, licence: str) -> Brought:
        """The same under a licence, if it names none itself."""
        if not licence or self.terms.licence:
            return self
        terms = replace(self.terms, licence=licence)
        return replace(self, terms=terms, notes=warnings_of(terms))


def sha256_of(files: Sequence[Path]) -> str:
    """Of the only file, or of all files' sums in their order."""
    sums = [file_sha256(file) for file in files]
    return sums[0] if len(sums) == 1 else hashlib.sha256("\n".join(sums).encode()).hexdigest()


class BroughtDepth(nn.Module):
    """A depth network of somebody else's.

    Attributes:
        config: where it is from.
        contract: it brings its own.
    """

    def __init__(
        self, network: nn.Module, call: Callable[[nn.Module, torch.Tensor], Any], contract: NetworkContract,
        origin: NetworkOrigin, only: Size | None = None,
    ) -> None:  # fmt: skip
        """Wrap a network.

        Args:
            network: it takes normalised images.
            call: how it is called.
            only: (height, width) of the only image that it takes; others are resized to it.
        """
        super().__init__()
        self.network = network
        self.config, self.contract = origin, contract
        self._call, self._only = call, only

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Normalised image [N, 3, H, W] → the network's own map [N, 1, H, W]."""
        size = image.shape[2:]
        found = one_map(self._call(self.network, resized(image, self._only or size)))
        return resized(found, size)


def resized(values: torch.Tensor, size: Size | torch.Size) -> torch.Tensor:
    """[N, C, h, w] → [N, C, H, W], bilinearly."""
    height, width = (int(side) for side in size)
    if tuple(values.shape[2:]) == (height, width):
        return values
    return F.interpolate(values, (height, width), mode="bilinear", align_corners=False)


def one_map(output: Any) -> torch.Tensor:
    """The map [N, 1, h, w] in what a network gives: a tensor, or the part of that name, or the first.

    Raises:
        DofkitError: there is none of one channel.
    """
    if isinstance(output, Mapping):
        output = next((output[name] for name in _MAPS if name in output), next(iter(output.values()), None))
    elif isinstance(output, tuple | list):
        output = output[0] if output else None
    if isinstance(output, torch.Tensor) and output.ndim == 3:
        output = output.unsqueeze(1)
    if not isinstance(output, torch.Tensor) or output.ndim != 4 or output.shape[1] != 1:
        shape = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise DofkitError(
            f"the depth network gives {shape}, not one map [1, 1, height, width]; wrap it so that it does"
        )
    return output


def depth_of(
    network: nn.Module, call: Callable[[nn.Module, torch.Tensor], Any], contract: NetworkContract,
    origin: NetworkOrigin, only: Size | None, terms: Terms, sha256: str, notes: tuple[str, ...] = (),
) -> Brought:  # fmt: skip
    """A depth network with its pre- and postprocessing; see `BroughtDepth` and `Brought`."""
    inner = BroughtDepth(network, call, contract, origin, only)
    whole = adapted(inner, contract)
    # Not .eval(): an exported program refuses it; it is in the mode that it was exported in.
    return Brought(whole, contract, terms, sha256, origin, notes)

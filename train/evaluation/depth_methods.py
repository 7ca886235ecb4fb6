"""Who is asked for depth: weights files, any callable, and the two guesses that see no photo at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch.nn import functional as F

from ...runtime_ref.bundle import file_sha256
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.pipeline.aspects import USUAL_SIZES
from ...runtime_ref.pipeline.stage import Stage
from .. import shipped
from ..brought.networks import Brought
from ..rendering.lens import Array
from ..weights import SHIPPED, load_weights, weights_file
from ..weights.generative import PIX2PIX
from .depth_scores import VERSION
from .methods import digest
from .scores import Bytes

BROUGHT = "brought"
"""The method that `--depth-model` names."""


class DepthMethod(Protocol):
    """Something that tells near from far in a photo.

    Attributes:
        name: unique in an evaluation.
        source: a paper, or one line on what it is.
        fingerprint: of all that its maps depend on besides the photo: a change computes them anew.
    """

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...

    def __call__(self, photo: Bytes) -> Array:
        """Disparity [h, w] of any resolution and in any unit over the whole photo [H, W, 3]; larger is nearer."""
        ...


@runtime_checkable
class SizedNetwork(Protocol):
    """A network that says itself which input it wants of a photo."""

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the input, in pixels, for a photo of `height` × `width`."""
        ...


@dataclass(frozen=True)
class ConstantDepth:
    """One distance everywhere."""

    name: str = "constant"
    source: str = "one distance everywhere"
    fingerprint: str = "constant"

    def __call__(self, photo: Bytes) -> Array:
        return np.full(photo.shape[:2], 0.5, np.float32)


@dataclass(frozen=True)
class LowerIsNearer:
    """Disparity rises evenly from the upper border to the lower one."""

    name: str = "lower is nearer"
    source: str = "disparity rises evenly from the upper border to the lower"
    fingerprint: str = "lower"

    def __call__(self, photo: Bytes) -> Array:
        rise = np.linspace(0, 1, photo.shape[0], dtype=np.float32)
        return np.repeat(rise[:, None], photo.shape[1], axis=1)


@dataclass(frozen=True)
class Asked:
    """Any function from photo to disparity, for models that are brought along."""

    name: str
    source: str
    fingerprint: str
    function: Callable[[Bytes], Array] = field(repr=False)

    def __call__(self, photo: Bytes) -> Array:
        return self.function(photo)


@dataclass(frozen=True)
class Network:
    """A network [N, 3, h, w] in [0, 1] → [N, 1, h, w], larger is nearer."""

    name: str
    source: str
    fingerprint: str
    network: torch.nn.Module = field(repr=False)

    def __call__(self, photo: Bytes) -> Array:
        with torch.inference_mode():
            return self.network(prepared(self.network, photo))[0, 0].float().numpy()


def prepared(network: torch.nn.Module, photo: Bytes) -> torch.Tensor:
    """The whole photo as a network takes it, [1, 3, h, w]: of the size that the network asks for, see `SizedNetwork`,
    else stretched to the usual square. Reduced with an antialiasing filter."""
    size = USUAL_SIZES[0]
    if isinstance(network, SizedNetwork):
        size = network.input_size(*photo.shape[:2])
    pixels = torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1)))[None].float() / 255
    return F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)


def depth_network(name: str, path: Path) -> Network:
    """The network of a weights file as a method.

    Args:
        name: of the method.
        path: a `depth.safetensors` of `dofkit train depth`, a `pix2pix.safetensors` of `dofkit train pix2pix`, or the
            folder of such a training.

    Raises:
        DofkitError: it is neither, or damaged.
    """
    file = _weights_at(name, path)
    network, source = _KINDS[file.name](file)
    return Network(name, source, digest(VERSION, file_sha256(file)), network)


def _depth(file: Path) -> tuple[torch.nn.Module, str]:
    network = load_weights(Stage.DEPTH, file.parent)
    millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    return network, f"depth network, {millions:.1f} M parameters"


def _pix2pix(file: Path) -> tuple[torch.nn.Module, str]:
    network = PIX2PIX.load(file)
    return network, f"Pix2Pix at {network.config.size} pixels (Isola et al. 2017)"


_KINDS: Mapping[str, Callable[[Path], tuple[torch.nn.Module, str]]] = {
    weights_file(Stage.DEPTH, Path()).name: _depth,
    PIX2PIX.name: _pix2pix,
}


def _weights_at(name: str, path: Path) -> Path:
    candidates = [path / known for known in _KINDS] if path.is_dir() else [path]
    found = next((file for file in candidates if file.is_file() and file.name in _KINDS), None)
    if found is None and path == shipped.PRODUCT:
        raise DofkitError(shipped.no_weights(Stage.DEPTH, path))
    if found is None:
        kinds = " or ".join(_KINDS)
        raise DofkitError(f"{name}={path}: there is no {kinds}; give such a file or the folder of a training")
    return found


def brought_method(brought: Brought, name: str = BROUGHT) -> Network:
    """A network that was brought, as a method."""
    origin = brought.origin
    source = f"{origin.source}, {origin.model or origin.format}, {origin.kind}"
    return Network(name, source, digest(VERSION, brought.sha256, repr(origin)), brought.network)


def depth_methods(
    weights: Path | None, others: Mapping[str, Path], brought: Brought | None = None
) -> list[DepthMethod]:
    """Every method in the order of the table: the guesses, the others by name, and ours.

    Args:
        weights: folder or file of the weights called ours; without, those that ship with dofkit.
        others: name -> weights of further methods.
        brought: a network that takes part as `BROUGHT`.

    Raises:
        DofkitError: a name is taken, or weights cannot be read.
    """
    guesses = (ConstantDepth(), LowerIsNearer())
    taken = {"ours", BROUGHT, *(guess.name for guess in guesses)}
    if clash := taken & set(others):
        raise DofkitError(f"--method {min(clash)}: this name is taken; choose another")
    named = [depth_network(name, path) for name, path in others.items()]
    asked = [] if brought is None else [brought_method(brought)]
    return [*guesses, *named, *asked, depth_network("ours", weights or SHIPPED)]


def chosen_methods(methods: Sequence[DepthMethod], only: Sequence[str]) -> list[DepthMethod]:
    """The methods of these names, all if there are none.

    Raises:
        DofkitError: a name is unknown.
    """
    names = [method.name for method in methods]
    unknown = next((name for name in only if name not in names), None)
    if unknown is not None:
        raise DofkitError(f"--only {unknown}: there is no such method; there are: {', '.join(names)}")
    return [method for method in methods if not only or method.name in only]

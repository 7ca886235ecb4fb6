"""A network computed with other resizes than its own: what exported files do that mix up the centres of pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ..runtime_ref.pipeline.stage import INPUTS, Stage

Array = NDArray[np.floating[Any]]
Interpolate = Callable[..., torch.Tensor]


class Resampling(TorchFunctionMode):
    """Within it every `F.interpolate` is computed by another function of the same arguments."""

    def __init__(self, interpolate: Interpolate) -> None:
        super().__init__()
        self._interpolate = interpolate

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        chosen = self._interpolate if func is F.interpolate else func
        return chosen(*args, **(kwargs or {}))


def align_corners(picture: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """Bilinear; the corner pixels' centres stay where they are."""
    return F.interpolate(picture, _size(picture, *args, **kwargs), mode="bilinear", align_corners=True)


def asymmetric(picture: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """Bilinear; pixel i of the output lies at i / scale of the input: no half-pixel centres."""
    for axis, size in zip((2, 3), _size(picture, *args, **kwargs), strict=True):
        picture = _resized_from_zero(picture, axis, size)
    return picture


def nearest(picture: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """The nearest pixel."""
    return F.interpolate(picture, _size(picture, *args, **kwargs), mode="nearest")


VARIANTS: Mapping[str, Interpolate] = {
    "resized with aligned corners (align_corners=True), not half-pixel centres": align_corners,
    "resized without half-pixel centres (asymmetric)": asymmetric,
    "resized to the nearest pixel, not bilinearly": nearest,
}


def resampled_variants(network: nn.Module, stage: Stage) -> dict[str, Callable[[Mapping[str, Array]], Array]]:
    """A stage's network with its resizes computed otherwise: text -> run, as a diagnosis takes them.

    Args:
        network: of the stage; it is put into evaluation mode and is not changed.
    """
    network.eval()
    return {text: partial(_run, network, stage, interpolate) for text, interpolate in VARIANTS.items()}


def _run(network: nn.Module, stage: Stage, interpolate: Interpolate, inputs: Mapping[str, Array]) -> Array:
    with torch.inference_mode(), Resampling(interpolate):
        return network(*(torch.from_numpy(inputs[signal.name]) for signal in INPUTS[stage])).numpy()


def _size(
    picture: torch.Tensor, size: Any = None, scale_factor: Any = None, *unused: Any, **others: Any
) -> tuple[int, int]:
    """The output's height and width, from the arguments of `F.interpolate`."""
    del unused, others
    given, each = (scale_factor, True) if size is None else (size, False)
    pair = tuple(given) if isinstance(given, list | tuple) else (given, given)
    if not each:
        return int(pair[0]), int(pair[1])
    return int(picture.shape[2] * pair[0]), int(picture.shape[3] * pair[1])


def _resized_from_zero(picture: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    """Bilinear along one axis, positions counted from the first pixel's centre; the last pixel is repeated."""
    length = picture.shape[axis]
    places = torch.arange(size, dtype=torch.float32, device=picture.device) * (length / size)
    lower = places.floor().long().clamp(max=length - 1)
    upper = (lower + 1).clamp(max=length - 1)
    shape = [1] * picture.ndim
    shape[axis] = size
    share = (places - lower).to(picture.dtype).reshape(shape)
    return picture.index_select(axis, lower) * (1 - share) + picture.index_select(axis, upper) * share

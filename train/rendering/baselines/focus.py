"""Depth from focal stacks without learning: where the detail is strongest, and which depth explains the stack best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from ...networks.focus_matching import NOISE, luminance, matching_costs
from ..focus_sweep import FocusSweep
from ..lens import Array

Bytes = NDArray[np.uint8]


class FocalResult(NamedTuple):
    """What a method says of a stack.

    Attributes:
        depth: [H, W] in metres.
        picture: uint8 [H, W, 3], all in focus.
    """

    depth: Array
    picture: Bytes


class FocalMethod(Protocol):
    """Looks at a stack uint8 [S, H, W, 3] and at how it was taken.

    Attributes:
        name: for tables.
    """

    @property
    def name(self) -> str: ...
    def __call__(self, stack: Bytes, sweep: FocusSweep) -> FocalResult: ...


@dataclass(frozen=True)
class LaplacianVariance:
    """Depth from focus: each pixel lies where the variance of the Laplacian around it peaks over the slices (Pertuz et
    al. 2013), the peak found by a parabola through the logarithms of three slices, in 1 / distance.

    Attributes:
        window: side in pixels over which the variance is taken.
    """

    window: int = 15
    name: str = "variance of Laplacian"

    def __call__(self, stack: Bytes, sweep: FocusSweep) -> FocalResult:
        """See `FocalMethod`."""
        order = np.argsort(sweep.focus)
        grey = luminance(torch.from_numpy(stack[order]).movedim(-1, 1)[None].float() / 255)[0].numpy()
        energy = np.log(np.stack([self._variance(one) for one in grey]) + 1e-9)
        best = energy.argmax(0)
        inverse = 1 / np.asarray(sweep.focus, np.float64)[order]
        depth = 1 / np.clip(_peak(energy, best, inverse), 1 / sweep.far, 1 / sweep.near)
        picture = np.take_along_axis(stack[order], best[None, ..., None], 0)[0]
        return FocalResult(depth.astype(np.float32), picture)

    def _variance(self, grey: Array) -> Array:
        edges = ndimage.laplace(grey, mode="nearest")
        mean = ndimage.uniform_filter(edges, self.window, mode="nearest")
        return np.maximum(ndimage.uniform_filter(edges * edges, self.window, mode="nearest") - mean * mean, 0)


def _peak(values: Array, best: NDArray[np.integer], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the parabola through the best of [S, H, W] and its neighbours peaks; the best itself at either end."""
    middle = np.clip(best, 1, len(places) - 2) if len(places) > 2 else best
    if len(places) < 3:
        return places[best]
    x0, x1, x2 = (places[middle + step] for step in (-1, 0, 1))
    y0, y1, y2 = (np.take_along_axis(values, (middle + step)[None], 0)[0].astype(np.float64) for step in (-1, 0, 1))
    a, b = (y0 - y1) / (x0 - x1), (y2 - y1) / (x2 - x1)  # slopes to either side
    bend = (b - a) / (x2 - x0)
    top = (x1 + x0) / 2 - a / np.where(bend < 0, 2 * bend, 1)
    inside = (bend < 0) & (best == middle)
    return np.where(inside, np.clip(top, np.minimum(x0, x2), np.maximum(x0, x2)), places[best])


@dataclass(frozen=True)
class ConfusionArgmin:
    """The depth whose circles of confusion explain the stack best: the least of `matching_costs`, means over a window.

    Attributes:
        window: side in pixels.
        depths: that are tried.
    """

    window: int = 15
    depths: int = 64
    name: str = "argmin of confusion"

    def __call__(self, stack: Bytes, sweep: FocusSweep) -> FocalResult:
        """See `FocalMethod`."""
        grey = luminance(torch.from_numpy(stack).movedim(-1, 1)[None].float() / 255)
        costs = np.log(matching_costs(grey, sweep.radius(self.depths)[None])[0].numpy() + NOISE)
        mean = np.stack([ndimage.uniform_filter(cost, self.window, mode="nearest") for cost in costs])
        depth = sweep.depths(self.depths)[torch.from_numpy(mean.argmin(0))]
        sharpest = torch.stack([sweep.camera.radius(depth, focus).abs() for focus in sweep.focus]).argmin(0).numpy()
        return FocalResult(depth.numpy(), np.take_along_axis(stack, sharpest[None, ..., None], 0)[0])

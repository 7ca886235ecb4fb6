"""The sweep of a stack of which only the order is known, or how its focus goes up to scale and shift of 1 / distance:
how strongly it blurs is guessed by what explains the stack best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ..networks.focus_matching import NOISE, luminance, matching_costs
from ..rendering.defocus import ThinLensCamera
from ..rendering.focus_sweep import FocusSweep

Bytes = NDArray[np.uint8]
DIOPTRES = (2.0, 1.0)
"""Of a stack whose distances nobody knows: it is taken to go from the one to the other. What comes out is right up to
scale and shift of the disparity."""
MARGIN = 0.15
"""By what share of its own length such a sweep may be exceeded."""
STRENGTHS = (3.0, 4.5, 6.5, 9.5, 14.0, 20.0, 30.0)
"""Pixels of radius by which the last slice may blur what the first has in focus: the likeliest is taken."""
TRIED = 256
"""Longer side in pixels at which that is tried."""


def evenly(count: int) -> list[float]:
    """Places of slices whose focus goes evenly in 1 / distance."""
    return np.linspace(0, 1, count).tolist()


def relative_sweep(places: Sequence[float], strength: float) -> FocusSweep:
    """A sweep for slices of which no distance is known.

    Args:
        places: of the slices' focus, 0 the nearest and 1 the farthest, linear in 1 / distance.
        strength: pixels of radius by which the farthest slice blurs what the nearest has in focus.
    """
    first, last = DIOPTRES
    length = first - last
    focal_length, f_number = 10e-3, 2.0
    camera = ThinLensCamera(focal_length, f_number, focal_length**2 / f_number / 2 / (strength / length))
    focus = tuple(1 / (first - length * place) for place in places)
    return FocusSweep(camera, focus, 1 / (first + MARGIN * length), 1 / (last - MARGIN * length))


def likeliest_strength(stack: Bytes, places: Sequence[float]) -> float:
    """The one of `STRENGTHS` that explains a stack best.

    Args:
        stack: uint8 [S, H, W, 3].
        places: see `relative_sweep`.
    """
    steps = -(-max(stack.shape[1:3]) // TRIED)
    tried = stack[:, : stack.shape[1] // steps * steps, : stack.shape[2] // steps * steps]
    means = tried.reshape(len(stack), tried.shape[1] // steps, steps, tried.shape[2] // steps, steps, 3).mean((2, 4))
    grey = luminance(torch.from_numpy(means.astype(np.float32) / 255).movedim(-1, 1)[None])
    return min(STRENGTHS, key=lambda strength: _misfit(grey, relative_sweep(places, strength / steps)))


def _misfit(grey: torch.Tensor, sweep: FocusSweep) -> float:
    """How badly the best depth of each pixel explains a stack, mean over the pixels of the logarithm."""
    with torch.inference_mode():
        costs = torch.log(matching_costs(grey, sweep.radius(16)[None]) + NOISE)
        return float(torch.nn.functional.avg_pool2d(costs, 5, 1, 2).amin(1).mean())

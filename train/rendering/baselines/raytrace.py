"""Rays through the one photo: what each point of the lens meets of the surface that the disparity map describes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..aperture import lens_points
from ..layered import SceneLens
from ..lens import Array, to_linear, to_srgb
from .planes import checked_defocus, levels_of

ROWS = 32
"""Rows of a band: what the rays of one band touch stays in the processor's cache."""


@dataclass(frozen=True)
class ImageSpaceRays:
    """Yang et al. 2016, "Virtual DSLR: High quality dynamic depth-of-field synthesis on mobile platforms".

    For the output pixel q and the point u of the lens, the ray passes photo position q − c·u at the depth whose circle
    of confusion is c. Following it from the nearest c to the farthest, the first pixel p whose own c(p) equals the
    ray's is what it meets; the colours met are averaged in linear light: out(q) = mean_u L(p(q, u)).

    The paper is known to us by its idea alone, gathering by rays intersected with the depth map in image space. Ours:
    the march by even steps of c, in which all pixels of a step read one shifted picture; the equal-area points;
    rays that pass behind a foreground and meet nothing are left out of the mean.

    Attributes:
        samples: rays a pixel, ≥ 1.
        spacing: of the march in pixels of radius, ≤ 1 keeps a shifted picture from skipping pixels.
    """

    name: str = "rays"
    source: str = "image-space ray tracing after Yang et al. 2016, Virtual DSLR"
    samples: int = 64
    spacing: float = 1.0

    def render(self, image: Array, disparity: Array, lens: SceneLens) -> Array:
        """[H, W, 3] sRGB in [0, 1] and disparity [H, W] in [0, 1] → the photo through `lens`, [H, W, 3] sRGB."""
        radius = checked_defocus(image, disparity, lens)
        levels = levels_of(radius, self.spacing)[::-1]  # nearest first
        step = float(levels[0] - levels[1]) if len(levels) > 1 else 1.0
        index = np.round((levels[0] - radius) / np.float32(step)).astype(np.int16)
        reach = int(np.ceil(np.abs(levels).max())) + 1
        light = np.pad(to_linear(image).transpose(2, 0, 1), [(0, 0), (reach, reach), (reach, reach)], mode="symmetric")
        index = np.pad(index, reach, mode="symmetric")
        points = lens_points(self.samples)
        bands = [
            _band(light, index, levels, points, reach, range(top, min(top + ROWS, len(radius))))
            for top in range(0, len(radius), ROWS)
        ]
        return to_srgb(np.concatenate(bands, axis=1).transpose(1, 2, 0))


def _band(light: Array, index: Array, levels: Array, points: Array, reach: int, rows: range) -> Array:
    """Mean over the points of the lens for some rows of the picture: [3, h, W]."""
    width = index.shape[1] - 2 * reach
    total, count = np.zeros((3, len(rows), width), np.float32), np.zeros((len(rows), width), np.float32)
    for u, v in points.tolist():
        missed = np.ones((len(rows), width), bool)
        for number, level in enumerate(levels.tolist()):
            left, top = reach - round(level * u), reach - round(level * v) + rows.start
            window = np.s_[top : top + len(rows), left : left + width]
            met = missed & (index[window] == number)
            total += light[:, window[0], window[1]] * met
            missed &= ~met
        count += ~missed
    return np.asarray(total / np.maximum(count, 1), np.float32)

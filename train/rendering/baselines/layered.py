"""Planes of equal defocus, each blurred by its own disc and composited front to back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ....runtime_ref.pipeline.resampling import resize
from ..layered import SceneLens
from ..lens import Array, disc_spectrum, from_spectrum, spectrum, to_linear, to_srgb
from .planes import bordered, checked_defocus, levels_of, shares, without_border


@dataclass(frozen=True)
class LayeredBlur:
    """The photo is split into planes of signed defocus c_k; plane k has light w_k·L and coverage w_k.

    Both are blurred by the disc of |c_k|, l_k and a_k, and composited in linear light:
    out = Σ_k T_k·l_k / Σ_k T_k·a_k with T_k = max(0, 1 − Σ_{j ≥ k + apart} a_j), j nearer than k. As in multi-plane
    renderers (MPIB, Peng et al. 2022), blurred coverage hides and what is hidden is normalised away; Wang et al. 2018,
    sec. 4.2, blur true layers the same way.

    Ours: coverages add up instead of multiplying their complements, because one slanted surface falls into many planes
    that hide nothing of each other; for the same reason a plane hides only planes `apart` levels behind it. And every
    pixel has a second, hidden sample, the nearest surface farther than itself, so that a blurred edge shows what may
    be behind it.

    Attributes:
        spacing: of the planes in pixels of radius.
        apart: levels between two planes of which the nearer hides the farther.
        gap: pixels of radius by which the hidden sample is farther than its pixel at least.
    """

    name: str = "layered"
    source: str = "planes of equal defocus, blurred and composited (MPIB, Peng et al. 2022; Wang et al. 2018, sec. 4.2)"
    spacing: float = 1.0
    apart: int = 2
    gap: float = 3.0

    def render(self, image: Array, disparity: Array, lens: SceneLens) -> Array:
        """[H, W, 3] sRGB in [0, 1] and disparity [H, W] in [0, 1] → the photo through `lens`, [H, W, 3] sRGB."""
        radius = checked_defocus(image, disparity, lens)
        light = to_linear(image)
        hidden, behind = _behind(light, radius, self.gap)
        levels = levels_of(radius, self.spacing)[::-1]  # nearest first
        margin = int(np.abs(levels).max()) + 2
        seen = _plane_stack(light, radius, np.ones_like(radius), margin)
        unseen = _plane_stack(hidden, behind, (behind < radius - 1e-3).astype(np.float32), margin)
        total, nearer = np.zeros((4, *radius.shape), np.float32), np.zeros_like(radius)
        waiting: list[Array] = []
        for level, own, extra in zip(levels, shares(seen[4], levels), shares(unseen[4], levels), strict=True):
            planes = _blurred(np.asarray(seen[:4] * own + unseen[:4] * extra, np.float32), float(abs(level)))
            planes = without_border(planes, margin, radius.shape)
            waiting.append(planes[3])
            if len(waiting) > self.apart:
                nearer = nearer + waiting.pop(0)
            total += np.clip(1 - nearer, 0, 1) * planes
        return to_srgb((total[:3] / np.maximum(total[3:], 1e-6)).transpose(1, 2, 0))


def _plane_stack(light: Array, radius: Array, present: Array, margin: int) -> Array:
    """Light times presence, presence, radius: [5, H', W'] with a border."""
    stack = np.concatenate([light.transpose(2, 0, 1) * present, present[None], radius[None]])
    return bordered(stack.astype(np.float32), margin)


def _blurred(planes: Array, radius: float) -> Array:
    if radius <= 0.5 or not planes[3].any():
        return planes
    shape = (planes.shape[1], planes.shape[2])
    return np.maximum(from_spectrum(spectrum(planes) * disc_spectrum(radius, shape), shape), 0)


REDUCED = 2
"""What is hidden is guessed at 1 / REDUCED of the resolution: no detail of it is known."""
SMOOTH = 1.0
"""Deviation in pixels of that resolution by which the guess is smoothed."""
CUTS = 8
"""Radii at which the picture is cut into what is farther and what hides it."""


def _behind(light: Array, radius: Array, gap: float) -> tuple[Array, Array]:
    """For each pixel the nearest surface in the picture that is farther by `gap` at least.

    Returns:
        Its light [H, W, 3] and signed radius [H, W]; the pixel's own where nothing is farther.
    """
    hidden, behind = light.copy(), radius.copy()
    for cut in np.linspace(float(radius.min()), float(radius.max()), CUTS + 2, dtype=np.float32)[:-1]:
        covering = radius > cut + gap
        # The pixels at the edge are mixed with what hides the rest.
        farther = np.asarray(ndimage.binary_erosion(radius <= cut, border_value=1), np.float32)
        if covering.any() and farther.any():
            colour, depth = _grown(light, radius, farther)
            hidden[covering], behind[covering] = colour[covering], depth[covering]
    return hidden, behind


def _grown(light: Array, radius: Array, known: Array) -> tuple[Array, Array]:
    """`light` and `radius` where `known` is 1, grown smoothly over the rest, where it is 0."""
    values = np.concatenate([light, radius[..., None]], axis=2) * known[..., None]
    sums, count = _mean_of_blocks(values), _mean_of_blocks(known[..., None])
    reduced = sums / np.maximum(count, 1e-6)
    nearest = np.asarray(
        ndimage.distance_transform_edt(count[..., 0] < 0.25, return_distances=False, return_indices=True)
    )
    grown = np.asarray(reduced[nearest[0], nearest[1]], np.float32)
    smooth = np.stack([ndimage.gaussian_filter(grown[..., i], SMOOTH) for i in range(3)], axis=2)
    size = radius.shape
    depth = grown[..., 3].repeat(REDUCED, axis=0).repeat(REDUCED, axis=1)
    return resize(smooth, size), np.asarray(depth[: size[0], : size[1]], np.float32)


def _mean_of_blocks(values: Array) -> Array:
    """[H, W, C] → [⌈H / REDUCED⌉, ⌈W / REDUCED⌉, C]."""
    height, width, channels = values.shape
    padded = np.pad(values, [(0, -height % REDUCED), (0, -width % REDUCED), (0, 0)], mode="edge")
    blocks = padded.reshape(padded.shape[0] // REDUCED, REDUCED, -1, REDUCED, channels)
    return blocks.mean(axis=(1, 3), dtype=np.float32)

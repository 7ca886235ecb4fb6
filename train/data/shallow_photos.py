"""Small photos of a known lens, drawn: a blossom in the middle, in focus, before something that lies behind it.

An unsupervised generator learns from the pictures alone; what it should have learned is known here exactly. Deep and
shallow photos come in any mix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..rendering.layered import SceneLayer, SceneLens, render
from ..rendering.lens import Array, to_linear, to_srgb
from .textures import Rng, Size, grid, noise

OVERSAMPLING = 2
"""Photos are rendered so many times larger, then averaged in linear light."""


@dataclass(frozen=True)
class PhotoSettings:
    """What all photos of a set share.

    Attributes:
        size: side in pixels.
        deep: share of photos in which all is sharp; the others have an aperture between half and full.
        reach: radius of the largest circle of confusion at full aperture, as a share of the side, for a disparity
            difference of 1 from the subject.
    """

    size: int = 64
    deep: float = 0.3
    reach: float = 0.1


@dataclass(frozen=True)
class ShallowPhoto:
    """A photo and what is known of it.

    Attributes:
        image: [S, S, 3] through the lens, sRGB-encoded in [0, 1].
        disparity: [S, S] in [0, 1], 1 = nearest.
        subject: [S, S], the subject's coverage.
        aperture: 0 where all is sharp, else in [0.5, 1].
        sharp: [S, S, 3] the same through a pinhole, sRGB-encoded in [0, 1].
    """

    image: Array
    disparity: Array
    subject: Array
    aperture: float
    sharp: Array


def shallow_photo(seed: tuple[int, ...], settings: PhotoSettings) -> ShallowPhoto:
    """Draw one photo from its seed alone."""
    rng = np.random.default_rng(seed)
    unit = OVERSAMPLING
    reach = settings.reach * settings.size * unit
    margin = math.ceil(reach / unit) * unit
    side = settings.size * unit + 2 * margin
    size = (side, side)
    alpha, front = _blossom(rng, size, settings.size * unit)
    near = float(rng.uniform(0.65, 0.95))
    behind = _behind(rng, size, near)
    layers = [
        SceneLayer(to_linear(_backdrop(rng, size)), np.ones(size, np.float32), behind),
        SceneLayer(to_linear(front), alpha, np.full(size, near, np.float32)),
    ]
    aperture = 0.0 if rng.random() < settings.deep else float(rng.uniform(0.5, 1))
    image, sharp = (render(layers, SceneLens(near, opened, 40 * reach)) for opened in (aperture, 0.0))
    inner = slice(margin, side - margin)
    disparity = np.where(alpha > 0.5, np.float32(near), behind)

    def small(plane: Array) -> Array:
        plane = plane[inner, inner]
        parts = plane.reshape(settings.size, unit, settings.size, unit, *plane.shape[2:])
        return parts.mean(axis=(1, 3)).astype(np.float32)

    return ShallowPhoto(to_srgb(small(image)), small(disparity), small(alpha), aperture, to_srgb(small(sharp)))


def _blossom(rng: Rng, size: Size, frame: int) -> tuple[Array, Array]:
    """Coverage [H, W] and picture [H, W, 3] of a flower near the middle."""
    centre = np.array(size) / 2 + np.clip(rng.normal(0, 0.09, 2), -0.2, 0.2) * frame
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    y, x = y - np.float32(centre[0]), x - np.float32(centre[1])
    angle, distance = np.arctan2(y, x), np.hypot(y, x)
    petals, phase = int(rng.integers(4, 9)), rng.uniform(0, 2 * math.pi)
    radius = rng.uniform(0.26, 0.46) * frame
    depth = rng.uniform(0.05, 0.35)
    outline = radius * (1 - depth + depth * np.cos(petals * angle + phase))
    alpha = np.clip(outline - distance + 0.5, 0, 1).astype(np.float32)
    petal, heart = _petal_colour(rng), _petal_colour(rng)
    streaks = 0.5 + 0.5 * np.cos(petals * int(rng.integers(2, 5)) * angle + phase)
    rings = 0.5 + 0.5 * np.cos(distance * (2 * math.pi / (rng.uniform(0.06, 0.12) * frame)))
    light = 1 - rng.uniform(0.3, 0.6) * (streaks if rng.random() < 0.6 else rings)
    inner = np.clip(rng.uniform(0.2, 0.4) * radius - distance + 0.5, 0, 1)[..., None]
    picture = petal * light[..., None] * (1 - inner) + heart * (0.7 + 0.3 * rings)[..., None] * inner
    return alpha, np.clip(picture, 0, 1).astype(np.float32)


def _petal_colour(rng: Rng) -> Array:
    """Anything between violet, red, yellow and white."""
    hue = rng.uniform(-0.2, 0.18)  # of a turn, red is 0
    pure = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return (rng.uniform(0.75, 1) * (1 - rng.uniform(0.3, 1) * (1 - pure))).astype(np.float32)


def _backdrop(rng: Rng, size: Size) -> Array:
    """Leaves, blades or gravel, [H, W, 3] sRGB-encoded: fine enough that a lens takes it away."""
    dark = np.array([0.05, 0.12, 0.08]) + rng.uniform(0, 0.15, 3)
    bright = np.array([0.3, 0.55, 0.3]) + rng.uniform(-0.2, 0.3, 3)
    kind = rng.random()
    if kind < 0.4:
        u, _ = grid(rng, size)
        bend = 0.01 * noise(rng, size, 2.0)
        share = 0.5 + 0.5 * np.sin((u + bend) * (2 * math.pi / rng.uniform(0.05, 0.12)))
        share = np.clip((share - 0.5) * 2.5 + 0.5, 0, 1)
    elif kind < 0.75:
        plane = ndimage.gaussian_filter(rng.standard_normal(size, np.float32), rng.uniform(1.5, 3.5), mode="wrap")
        share = np.clip(plane / plane.std() * rng.uniform(0.6, 1.5) + 0.5, 0, 1)
    else:
        u, v = grid(rng, size)
        pitch = 2 * math.pi / rng.uniform(0.06, 0.13)
        share = np.clip(np.sin(u * pitch) * np.sin(v * pitch) * 1.5 + 0.5, 0, 1)
    return (dark + share[..., None] * (bright - dark)).clip(0, 1).astype(np.float32)


def _behind(rng: Rng, size: Size, near: float) -> Array:
    """Disparity [H, W] of what lies behind: mostly ground that recedes upwards, else a wall at any slant."""
    y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j].astype(np.float32)
    middle = rng.uniform(0.1, near - 0.4)
    room = min(middle, near - 0.2 - middle)
    if rng.random() < 0.6:
        relief = y
    else:
        turn = rng.uniform(0, 2 * math.pi)
        relief = (np.cos(turn) * x + np.sin(turn) * y) / np.float32(np.abs([np.cos(turn), np.sin(turn)]).sum())
    return (middle + rng.uniform(0.4, 1) * room * relief).astype(np.float32)

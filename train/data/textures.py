"""Procedural pictures and shapes for synthetic scenes: nothing here needs a file."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..rendering.lens import Array, from_spectrum, spectrum

Rng = np.random.Generator
Size = tuple[int, int]


def random_texture(rng: Rng, size: Size) -> Array:
    """One of the textures at random, [H, W, 3] sRGB-encoded in [0, 1]."""
    texture = _TEXTURES[rng.integers(len(_TEXTURES))](rng, size)
    return np.clip(texture, 0, 1).astype(np.float32)


def random_shape(rng: Rng, size: Size) -> Array:
    """One of the shapes at random, [H, W] coverage in [0, 1] with an anti-aliased or softer edge."""
    return _SHAPES[rng.integers(len(_SHAPES))](rng, size).astype(np.float32)


def noise(rng: Rng, size: Size, exponent: float) -> Array:
    """[H, W] of zero mean and unit variance with amplitude ∝ frequency^-exponent (1 is what photos have)."""
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]).astype(np.float32)
    frequency[0, 0] = np.inf
    white = spectrum(rng.standard_normal(size, np.float32))
    plane = from_spectrum(white * frequency**-exponent, size)
    return (plane / max(float(plane.std()), 1e-12)).astype(np.float32)


def lights(rng: Rng, size: Size, count: int) -> Array:
    """[H, W, 3] linear radiance to add: small round lamps of 2 to 6 times what the sensor clips at."""
    height, width = size
    image = np.zeros((height, width, 3), np.float32)
    for _ in range(count):
        radius = rng.uniform(0.0015, 0.008) * width
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        window, distance = _near(size, y, x, radius + 1)
        colour = rng.uniform(2, 6) * (1 - rng.uniform(0, 0.5) * rng.random(3))
        image[window] += np.clip(radius + 0.5 - distance, 0, 1)[..., None] * colour.astype(np.float32)
    return image


def _near(size: Size, y: float, x: float, reach: float) -> tuple[tuple[slice, slice], Array]:
    """The window within `reach` of a point, and its pixels' distances from the point."""
    top, left = max(int(y - reach), 0), max(int(x - reach), 0)
    bottom, right = min(int(y + reach) + 2, size[0]), min(int(x + reach) + 2, size[1])
    rows, columns = np.mgrid[top:bottom, left:right]
    return (slice(top, bottom), slice(left, right)), np.hypot(rows - y, columns - x).astype(np.float32)


def _colour(rng: Rng) -> Array:
    return rng.random(3).astype(np.float32)


def _mix(share: npt.NDArray[np.floating[Any]], rng: Rng) -> Array:
    """Two random colours, mixed by `share` [H, W]."""
    first, second = _colour(rng), _colour(rng)
    return (second + share[..., None] * (first - second)).astype(np.float32)


def _grid(rng: Rng, size: Size) -> tuple[Array, Array]:
    """Rotated coordinates in units of the width."""
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32) * np.float32(1 / size[1])
    cosine, sine = math.cos(angle), math.sin(angle)
    return cosine * x + sine * y, cosine * y - sine * x


def _clouds(rng: Rng, size: Size) -> Array:
    base = _colour(rng) + rng.uniform(0.05, 0.25) * noise(rng, size, rng.uniform(0.9, 1.6))[..., None]
    tint = np.stack([noise(rng, size, 1.4) for _ in range(3)], axis=2)
    return (base + rng.uniform(0, 0.12) * tint).astype(np.float32)


def _smooth(rng: Rng, size: Size) -> Array:
    u, v = _grid(rng, size)
    return _mix(np.clip(u * rng.uniform(0.5, 1) + v * rng.uniform(-0.5, 0.5), 0, 1), rng)


def _stripes(rng: Rng, size: Size) -> Array:
    u, v = _grid(rng, size)
    frequency = math.exp(rng.uniform(math.log(4), math.log(80)))
    bend = rng.uniform(0, 0.4) * np.sin(v * rng.uniform(2, 12))
    share = np.clip(np.sin(2 * np.pi * (u * frequency + bend)) * rng.uniform(1, 8) + 0.5, 0, 1)
    return _mix(share, rng)


def _checks(rng: Rng, size: Size) -> Array:
    u, v = _grid(rng, size)
    frequency = math.exp(rng.uniform(math.log(3), math.log(50)))
    share = np.clip(np.sin(2 * np.pi * u * frequency) * np.sin(2 * np.pi * v * frequency) * 10 + 0.5, 0, 1)
    return _mix(share, rng)


def _cells(rng: Rng, size: Size) -> Array:
    """A mosaic of flat colours: straight high-contrast edges in all directions."""
    count = int(math.exp(rng.uniform(math.log(12), math.log(400))))
    seeds = rng.random((count, 2)) * size
    image = np.zeros(size, np.int32)
    image[seeds[:, 0].astype(int), seeds[:, 1].astype(int)] = np.arange(count) + 1
    rows, columns = np.asarray(ndimage.distance_transform_edt(image == 0, return_distances=False, return_indices=True))
    return rng.random((count + 1, 3)).astype(np.float32)[image[rows, columns]]


def _dots(rng: Rng, size: Size) -> Array:
    image = np.broadcast_to(_colour(rng), (*size, 3)).copy()
    for _ in range(int(rng.integers(30, 300))):
        radius = math.exp(rng.uniform(math.log(0.002), math.log(0.05))) * size[1]
        window, distance = _near(size, rng.uniform(0, size[0]), rng.uniform(0, size[1]), radius + 1)
        cover = np.clip(radius + 0.5 - distance, 0, 1)[..., None]
        image[window] = cover * _colour(rng) + (1 - cover) * image[window]
    return image


def _strokes(rng: Rng, size: Size) -> Array:
    """Thin lines of two contrasting colours, like twigs, hair or writing."""
    return _mix(_lines(rng, size, int(rng.integers(20, 120)), 0.004), rng)


def _lines(rng: Rng, size: Size, count: int, thickness: float) -> Array:
    """[H, W] coverage of bent lines from a common region outwards, up to `thickness` · width wide."""
    cover = np.zeros(size, np.float32)
    root = rng.uniform(0.2, 0.8, 2) * size
    for _ in range(count):
        start = root + rng.normal(0, 0.12, 2) * size
        heading, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 1.5)
        along = np.linspace(0, rng.uniform(0.15, 0.6), 300)
        angle = heading + bend * along
        step = along[1] * size[1]
        path = start + np.cumsum(np.stack([np.sin(angle), np.cos(angle)], axis=1) * step, axis=0)
        keep = ((path >= 1) & (path < np.array(size) - 2)).all(axis=1)
        rows, columns = path[keep].astype(int).T
        line = np.zeros(size, bool)
        line[rows, columns] = True
        cover = np.maximum(cover, _thick(line, rng.uniform(0.3, 0.5 + thickness * size[1] / 2)))
    return cover


def _thick(line: np.ndarray, radius: float) -> Array:
    """A one-pixel line as one of `radius` pixels, anti-aliased; worked out in its bounding box only."""
    rows, columns = np.flatnonzero(line.any(1)), np.flatnonzero(line.any(0))
    cover = np.zeros(line.shape, np.float32)
    if not rows.size:
        return cover
    reach = int(radius) + 2
    top, left = max(rows[0] - reach, 0), max(columns[0] - reach, 0)
    box = (slice(top, rows[-1] + reach + 1), slice(left, columns[-1] + reach + 1))
    cover[box] = np.clip(radius + 0.5 - np.asarray(ndimage.distance_transform_edt(~line[box])), 0, 1)
    return cover


def _blob(rng: Rng, size: Size) -> Array:
    """A rounded body; its outline is smooth or ragged."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    centre = rng.uniform(0.25, 0.75, 2) * size
    dy, dx = y - centre[0], (x - centre[1]) * rng.uniform(0.7, 1.6)
    radius = rng.uniform(0.12, 0.32) * size[1]
    wobble = noise(rng, size, rng.uniform(1.6, 2.5)) * rng.uniform(0, 0.3) * radius
    return _soft(radius + wobble - np.hypot(dy, dx), rng)


def _slab(rng: Rng, size: Size) -> Array:
    """A bar or half plane at any angle: poles, walls, table edges."""
    u, _ = _grid(rng, size)
    u = u - u.mean() - rng.uniform(-0.25, 0.25)
    return _soft((rng.uniform(0.01, 0.25) - np.abs(u)) * size[1], rng)


def _ring(rng: Rng, size: Size) -> Array:
    """A body with holes, seen through."""
    body = _blob(rng, size)
    holes = noise(rng, size, rng.uniform(1.6, 2.2))
    return body * _soft((holes + rng.uniform(0, 1)) * 0.02 * size[1], rng)


def _hair(rng: Rng, size: Size) -> Array:
    """A body with thin lines growing out of it."""
    return np.maximum(_blob(rng, size), _lines(rng, size, int(rng.integers(15, 70)), 0.004))


def _fence(rng: Rng, size: Size) -> Array:
    u, v = _grid(rng, size)
    pitch, bar = rng.uniform(0.03, 0.15), rng.uniform(0.08, 0.3)
    bars = [(bar - np.abs((t / pitch) % 1 - 0.5)) * pitch * size[1] for t in ((u, v) if rng.random() < 0.5 else (u,))]
    return _soft(np.maximum.reduce(bars), rng)


def _soft(inside: Array, rng: Rng) -> Array:
    """Coverage from the signed distance in pixels; most edges are one pixel wide, some up to four."""
    return np.clip(inside / float(rng.choice([1, 1, 1, 2, 4])) + 0.5, 0, 1).astype(np.float32)


_TEXTURES: list[Callable[[Rng, Size], Array]] = [_clouds, _clouds, _smooth, _stripes, _checks, _cells, _dots, _strokes]
_SHAPES: list[Callable[[Rng, Size], Array]] = [_blob, _slab, _ring, _hair, _fence]

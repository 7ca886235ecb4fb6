"""Procedural pictures for synthetic scenes, and what they and the mattes are drawn with: nothing here needs a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from ..rendering.lens import Array, from_spectrum, spectrum

Rng = np.random.Generator
Size = tuple[int, int]
Points = npt.NDArray[np.floating[Any]]
"""[N, 2] or [2]: (y, x) in pixels."""
Stroke = tuple[Points, float]
"""A line: its points, and its width in pixels."""

OVERSAMPLING = 3
"""Lines and polygons are drawn so many times larger, then averaged: their edges are anti-aliased."""


def random_texture(rng: Rng, size: Size) -> Array:
    """One of the textures at random, [H, W, 3] sRGB-encoded in [0, 1]."""
    texture = _TEXTURES[rng.integers(len(_TEXTURES))](rng, size)
    return np.clip(texture, 0, 1).astype(np.float32)


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
        window, distance = near(size, rng.uniform(0, height), rng.uniform(0, width), radius + 1)
        colour = rng.uniform(2, 6) * (1 - rng.uniform(0, 0.5) * rng.random(3))
        image[window] += np.clip(radius + 0.5 - distance, 0, 1)[..., None] * colour.astype(np.float32)
    return image


def near(size: Size, y: float, x: float, reach: float) -> tuple[tuple[slice, slice], Array]:
    """The window within `reach` of a point, and its pixels' distances from the point."""
    top, left = max(int(y - reach), 0), max(int(x - reach), 0)
    bottom, right = min(int(y + reach) + 2, size[0]), min(int(x + reach) + 2, size[1])
    rows, columns = np.mgrid[top:bottom, left:right]
    return (slice(top, bottom), slice(left, right)), np.hypot(rows - y, columns - x).astype(np.float32)


def grid(rng: Rng, size: Size) -> tuple[Array, Array]:
    """Coordinates [H, W] along two axes at right angles, turned at random, in units of the width."""
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32) * np.float32(1 / size[1])
    cosine, sine = math.cos(angle), math.sin(angle)
    return cosine * x + sine * y, cosine * y - sine * x


def drawn(size: Size, strokes: Sequence[Stroke] = (), bodies: Sequence[Points] = ()) -> Array:
    """[H, W] coverage of lines and of filled polygons [N, 2] of (y, x); what lies outside is cut off."""
    canvas = Image.new("L", (size[1] * OVERSAMPLING, size[0] * OVERSAMPLING))
    brush = ImageDraw.Draw(canvas)
    for points, width in strokes:
        brush.line(_corners(points), fill=255, width=max(1, round(width * OVERSAMPLING)), joint="curve")
    for points in bodies:
        brush.polygon(_corners(points), fill=255)
    return np.asarray(canvas.reduce(OVERSAMPLING), np.float32) * np.float32(1 / 255)


def curve(rng: Rng, start: Points, heading: float, length: float, bend: float, points: int = 12) -> Points:
    """[points, 2] of (y, x): a line from `start` whose direction turns by about `bend` radians on its way."""
    angle = heading + rng.normal(0, max(bend, 1e-6)) * np.linspace(0, 1, points)
    steps = np.stack([np.sin(angle), np.cos(angle)], axis=1) * (length / (points - 1))
    steps[0] = 0
    return start + np.cumsum(steps, axis=0)


def log_uniform(rng: Rng, least: float, most: float) -> float:
    """Every ratio between `least` and `most` equally likely."""
    return math.exp(rng.uniform(math.log(least), math.log(most)))


def writing(rng: Rng, size: Size) -> list[Stroke]:
    """Lines of made-up letters, each of a few straight strokes."""
    height = log_uniform(rng, 0.02, 0.12) * size[1]
    thickness = max(0.8, height * rng.uniform(0.06, 0.2))
    top, left = rng.uniform(0.05, 0.5, 2) * size
    rows, columns = int(rng.integers(1, 7)), int(rng.integers(4, 24))
    strokes: list[Stroke] = []
    for row, column in np.ndindex(rows, columns):
        if rng.random() < 0.15:  # the space between words
            continue
        corner = np.array([top + row * 1.6 * height, left + column * 0.8 * height])
        nodes = rng.integers(0, 3, (int(rng.integers(2, 5)), 2)) * np.array([0.5, 0.3]) * height
        strokes.append((corner + nodes, thickness))
    return strokes


def _corners(points: Points) -> list[tuple[float, float]]:
    return [(x, y) for y, x in (points * OVERSAMPLING).tolist()]


def _colour(rng: Rng) -> Array:
    """Any colour, mostly less than fully saturated."""
    colour = rng.random(3).astype(np.float32)
    return colour.mean() + np.float32(rng.uniform(0.2, 1)) * (colour - colour.mean())


def _mix(share: npt.NDArray[np.floating[Any]], rng: Rng) -> Array:
    """Two random colours, mixed by `share` [H, W]."""
    first, second = _colour(rng), _colour(rng)
    return (second + share[..., None] * (first - second)).astype(np.float32)


def _clouds(rng: Rng, size: Size) -> Array:
    base = _colour(rng) + rng.uniform(0.05, 0.25) * noise(rng, size, rng.uniform(0.9, 1.6))[..., None]
    tint = np.stack([noise(rng, size, 1.4) for _ in range(3)], axis=2)
    return (base + rng.uniform(0, 0.12) * tint).astype(np.float32)


def _smooth(rng: Rng, size: Size) -> Array:
    u, v = grid(rng, size)
    return _mix(np.clip(u * rng.uniform(0.5, 1) + v * rng.uniform(-0.5, 0.5), 0, 1), rng)


def _stripes(rng: Rng, size: Size) -> Array:
    u, v = grid(rng, size)
    frequency = log_uniform(rng, 4, 80)
    bend = rng.uniform(0, 0.4) * np.sin(v * rng.uniform(2, 12))
    share = np.clip(np.sin(2 * np.pi * (u * frequency + bend)) * rng.uniform(1, 8) + 0.5, 0, 1)
    return _mix(share, rng)


def _checks(rng: Rng, size: Size) -> Array:
    u, v = grid(rng, size)
    frequency = log_uniform(rng, 3, 50)
    share = np.clip(np.sin(2 * np.pi * u * frequency) * np.sin(2 * np.pi * v * frequency) * 10 + 0.5, 0, 1)
    return _mix(share, rng)


def _cells(rng: Rng, size: Size) -> Array:
    """A mosaic of flat colours: straight high-contrast edges in all directions."""
    count = int(log_uniform(rng, 12, 400))
    seeds = rng.random((count, 2)) * size
    image = np.zeros(size, np.int32)
    image[seeds[:, 0].astype(int), seeds[:, 1].astype(int)] = np.arange(count) + 1
    rows, columns = np.asarray(ndimage.distance_transform_edt(image == 0, return_distances=False, return_indices=True))
    return rng.random((count + 1, 3)).astype(np.float32)[image[rows, columns]]


def _dead_leaves(rng: Rng, size: Size) -> Array:
    """Opaque shapes of all scales over one another: edges and statistics of natural images (Lee, Mumford and Huang
    2001, "Occlusion models for natural images"); areas fall off as 1 / radius³."""
    palette = np.stack([_colour(rng) for _ in range(int(rng.integers(2, 7)))])
    smallest, largest = rng.uniform(0.003, 0.015), rng.uniform(0.05, 0.25)
    count = int(rng.integers(400, 1200))
    spread = rng.random(count)
    radii = (spread * smallest**-2 + (1 - spread) * largest**-2) ** -0.5 * 2 * size[1]
    canvas = Image.new("RGB", (2 * size[1], 2 * size[0]), _eight_bit(palette[0]))
    brush = ImageDraw.Draw(canvas)
    for radius in np.sort(radii)[::-1] if rng.random() < 0.5 else radii:  # sorted: small ones are never hidden
        middle = rng.random(2) * (canvas.height, canvas.width)
        corners = rng.uniform(0, 2 * np.pi) + np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 10))))
        ring = middle[::-1] + radius * np.stack([np.cos(corners), np.sin(corners)], axis=1)
        colour = _eight_bit(palette[rng.integers(len(palette))] + rng.normal(0, 0.08, 3))
        brush.polygon([(x, y) for x, y in ring.tolist()], fill=colour)
    image = np.asarray(canvas.reduce(2), np.float32) * np.float32(1 / 255)
    return image * (1 + np.float32(rng.uniform(0, 0.2)) * noise(rng, size, 1.0)[..., None])


def _eight_bit(colour: npt.NDArray[np.floating[Any]]) -> tuple[int, int, int]:
    red, green, blue = (np.clip(colour, 0, 1) * 255).astype(int).tolist()
    return red, green, blue


def _dots(rng: Rng, size: Size) -> Array:
    image = np.broadcast_to(_colour(rng), (*size, 3)).copy()
    for _ in range(int(rng.integers(30, 300))):
        radius = log_uniform(rng, 0.002, 0.05) * size[1]
        window, distance = near(size, rng.uniform(0, size[0]), rng.uniform(0, size[1]), radius + 1)
        cover = np.clip(radius + 0.5 - distance, 0, 1)[..., None]
        image[window] = cover * _colour(rng) + (1 - cover) * image[window]
    return image


def _scribble(rng: Rng, size: Size) -> Array:
    """Thin lines of two contrasting colours, like twigs or hair."""
    lines: list[Stroke] = []
    for _ in range(int(rng.integers(20, 120))):
        length = rng.uniform(0.1, 0.6) * size[1]
        points = curve(rng, rng.random(2) * size, rng.uniform(0, 2 * np.pi), length, 1.2)
        lines.append((points, log_uniform(rng, 0.6, 6)))
    return _mix(drawn(size, lines), rng)


def _page(rng: Rng, size: Size) -> Array:
    """Something written on paper or a wall."""
    texts = [stroke for _ in range(int(rng.integers(1, 4))) for stroke in writing(rng, size)]
    ink, paper = _colour(rng) * rng.choice([0.3, 1.0]), 1 - _colour(rng) * 0.4
    share = drawn(size, texts)[..., None]
    paper = paper * (1 + 0.03 * noise(rng, size, 1.2)[..., None])
    return (ink * share + paper * (1 - share)).astype(np.float32)


_TEXTURES: list[Callable[[Rng, Size], Array]] = [
    _clouds, _clouds, _smooth, _stripes, _checks, _cells, _dots, _scribble, _page, *[_dead_leaves] * 3,
]  # fmt: skip

"""Procedural outlines for foregrounds: solid, holed, soft and thin. The thin and the soft are what blur gets wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..rendering.lens import Array
from .textures import Points, Rng, Size, Stroke, curve, drawn, grid, log_uniform, near, noise, writing

UP = -np.pi / 2
"""The heading that leads up the picture; angles turn from right to down."""


def random_matte(rng: Rng, size: Size) -> Array:
    """One of the outlines at random, now and then two of them together: coverage [H, W] in [0, 1]."""
    first, second = rng.choice(len(_MATTES), 2, p=_SHARES)
    matte = _MATTES[first][0](rng, size)
    if rng.random() < 0.12:
        matte = np.maximum(matte, _MATTES[second][0](rng, size))
    return np.clip(matte, 0, 1).astype(np.float32)


def blob(rng: Rng, size: Size) -> Array:
    """A rounded body; its outline is smooth or ragged, its edge mostly sharp."""
    return _edge(rng, _body(rng, size))


def slab(rng: Rng, size: Size) -> Array:
    """A bar or half plane at any angle: poles, walls, table edges."""
    u, _ = grid(rng, size)
    u = u - u.mean() - rng.uniform(-0.25, 0.25)
    return _edge(rng, (rng.uniform(0.01, 0.25) - np.abs(u)) * size[1])


def ring(rng: Rng, size: Size) -> Array:
    """A body with holes, seen through."""
    holes = noise(rng, size, rng.uniform(1.6, 2.2))
    return blob(rng, size) * _edge(rng, (holes + rng.uniform(0, 1)) * 0.02 * size[1])


def fence(rng: Rng, size: Size) -> Array:
    """Straight bars, in one or two directions."""
    u, v = grid(rng, size)
    pitch, bar = rng.uniform(0.03, 0.15), rng.uniform(0.05, 0.3)
    bars = [(bar - np.abs((t / pitch) % 1 - 0.5)) * pitch * size[1] for t in ((u, v) if rng.random() < 0.5 else (u,))]
    return _edge(rng, np.maximum.reduce(bars))


def net(rng: Rng, size: Size) -> Array:
    """Thin threads in two directions, sagging."""
    pitch, width = log_uniform(rng, 0.02, 0.12) * size[1], log_uniform(rng, 0.7, 4)
    angle, sag = rng.uniform(0, np.pi), rng.uniform(0, 0.6) * pitch
    along = np.linspace(-1, 1, 40) * size[1]
    strokes: list[Stroke] = []
    for turn in (angle, angle + rng.uniform(0.3, 0.5) * np.pi):
        for offset in np.arange(-size[1], size[1], pitch):
            across = offset + sag * np.sin(along / pitch * 0.7 + offset)
            y, x = across * np.cos(turn) + along * np.sin(turn), along * np.cos(turn) - across * np.sin(turn)
            strokes.append((np.stack([y + size[0] / 2, x + size[1] / 2], axis=1), width))
    return drawn(size, strokes)


def hair(rng: Rng, size: Size) -> Array:
    """A head with strands that leave its outline, bend and thin out."""
    centre, radius = rng.uniform(0.3, 0.7, 2) * size, rng.uniform(0.1, 0.28) * size[1]
    axes = radius * np.array([rng.uniform(0.8, 1.4), 1.0])
    strokes: list[Stroke] = []
    comb = rng.normal(0, 0.5)
    for turn in rng.uniform(0, 2 * np.pi, int(rng.integers(40, 250))):
        start = centre + 0.95 * axes * np.array([np.sin(turn), np.cos(turn)])
        length = radius * rng.uniform(0.1, 0.9)
        strokes.append((curve(rng, start, turn + comb + rng.normal(0, 0.3), length, 0.8), log_uniform(rng, 0.4, 2)))
    round_the_head = np.linspace(0, 2 * np.pi, 60)
    head = centre + axes * np.stack([np.sin(round_the_head), np.cos(round_the_head)], axis=1)
    return drawn(size, strokes, [head])


def fur(rng: Rng, size: Size) -> Array:
    """A body whose edge fades over many pixels, its noise drawn out into tufts."""
    inside, fade = _body(rng, size), rng.uniform(4, 24)
    tufts = noise(rng, size, rng.uniform(0.2, 1.0)) * rng.uniform(0, 0.8)
    return np.clip(inside / fade + 0.5 + tufts * np.exp(-((inside / fade) ** 2)), 0, 1).astype(np.float32)


def twigs(rng: Rng, size: Size) -> Array:
    """A branching plant without leaves."""
    strokes, _ = _plant(rng, size)
    return drawn(size, strokes)


def foliage(rng: Rng, size: Size) -> Array:
    """A branching plant and its leaves."""
    strokes, ends = _plant(rng, size)
    length, slim = log_uniform(rng, 0.015, 0.09) * size[1], rng.uniform(0.15, 0.45)
    leaves = [
        _leaf(end + rng.normal(0, 0.4 * length, 2), rng.uniform(0, 2 * np.pi), length * rng.uniform(0.6, 1.3), slim)
        for end in ends
        for _ in range(int(rng.integers(1, 5)))
    ]
    return drawn(size, strokes, leaves)


def grass(rng: Rng, size: Size) -> Array:
    """Blades from the lower edge upwards."""
    height, blades = rng.uniform(0.2, 0.8) * size[0], []
    for x in rng.uniform(-0.05, 1.05, int(rng.integers(15, 120))) * size[1]:
        length = height * rng.uniform(0.4, 1.2)
        middle = curve(rng, np.array([size[0] + 2.0, x]), UP + rng.normal(0, 0.2), length, 0.6)
        half = np.linspace(1, 0, len(middle))[:, None] * np.array([0, log_uniform(rng, 0.6, 7)])
        blades.append(np.concatenate([middle - half, (middle + half)[::-1]]))
    return drawn(size, bodies=blades)


def blossoms(rng: Rng, size: Size) -> Array:
    """A cloud of small round things: berries, petals, drops."""
    cover, centre = np.zeros(size, np.float32), rng.uniform(0.2, 0.8, 2) * size
    spread, scale = rng.uniform(0.08, 0.4) * size[1], log_uniform(rng, 0.004, 0.03) * size[1]
    for _ in range(int(rng.integers(20, 160))):
        (y, x), radius = centre + rng.normal(0, spread, 2), scale * rng.uniform(0.5, 1.5)
        if not (0 <= y < size[0] and 0 <= x < size[1]):
            continue
        window, distance = near(size, y, x, radius + 1)
        cover[window] = np.maximum(cover[window], np.clip(radius + 0.5 - distance, 0, 1))
    return cover


def letters(rng: Rng, size: Size) -> Array:
    """Writing on glass."""
    return drawn(size, writing(rng, size))


def smoke(rng: Rng, size: Size) -> Array:
    """Soft everywhere: thins out towards nothing, nowhere with an edge."""
    inside = _body(rng, size) / (0.15 * size[1])
    density = np.clip(inside + 0.5, 0, 1) * (0.6 + 0.4 * noise(rng, size, 2.0))
    return np.clip(density * rng.uniform(0.9, 1.4), 0, 1).astype(np.float32)


def _body(rng: Rng, size: Size) -> Array:
    """Distance [H, W] in pixels from the outline of a rounded body, positive inside."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    centre = rng.uniform(0.25, 0.75, 2) * size
    dy, dx = y - centre[0], (x - centre[1]) * rng.uniform(0.7, 1.6)
    radius = rng.uniform(0.12, 0.32) * size[1]
    wobble = noise(rng, size, rng.uniform(1.6, 2.5)) * rng.uniform(0, 0.3) * radius
    return (radius + wobble - np.hypot(dy, dx)).astype(np.float32)


def _edge(rng: Rng, inside: Array) -> Array:
    """Coverage from the signed distance in pixels; most edges are one pixel wide, some up to four."""
    return np.clip(inside / float(rng.choice([1, 1, 1, 2, 4])) + 0.5, 0, 1).astype(np.float32)


def _plant(rng: Rng, size: Size) -> tuple[list[Stroke], list[Points]]:
    """Branches that fork and thin out, rooted beyond a side of the picture; and the points where leaves may grow."""
    side = rng.uniform(0, 2 * np.pi)
    root = np.array(size) * (0.5 - 0.75 * np.array([np.sin(side), np.cos(side)]))
    strokes: list[Stroke] = []
    ends: list[Points] = []
    growing: list[tuple[Points, float, float, float, int]] = [
        (root, side, rng.uniform(0.4, 0.8) * size[1], rng.uniform(2, 12), 0)
    ]
    while growing:
        start, heading, length, width, order = growing.pop()
        points = curve(rng, start, heading, length, 0.5)
        strokes.append((points, width))
        ends.append(points[-1])
        if order == 3:
            continue
        for at in rng.integers(3, len(points), int(rng.integers(2, 5))):
            turn = heading + rng.choice([-1, 1]) * rng.uniform(0.3, 1.1)
            growing.append((points[at], turn, length * rng.uniform(0.4, 0.75), max(0.5, 0.6 * width), order + 1))
    return strokes, ends


def _leaf(base: Points, heading: float, length: float, slim: float) -> Points:
    """[N, 2] of (y, x): a pointed oval, `slim` times as wide as long on each side."""
    along = np.linspace(0, 1, 9)
    half = slim * 2 * along * (1 - along)
    local = np.stack([np.concatenate([along, along[::-1]]), np.concatenate([half, -half[::-1]])]) * length
    cosine, sine = np.cos(heading), np.sin(heading)
    return base + np.stack([sine * local[0] + cosine * local[1], cosine * local[0] - sine * local[1]], axis=1)


_MATTES: list[tuple[Callable[[Rng, Size], Array], float]] = [
    (blob, 3), (slab, 2), (ring, 2), (fence, 1), (net, 1.5), (hair, 3), (fur, 1.5), (twigs, 1.5), (foliage, 3),
    (grass, 1.5), (blossoms, 1), (letters, 1.5), (smoke, 0.7),
]  # fmt: skip
"""Each outline, and how often it is drawn relative to the others."""

_SHARES = np.array([share for _, share in _MATTES]) / sum(share for _, share in _MATTES)

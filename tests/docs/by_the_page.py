"""docs/pipeline.md computed as its reader would: formula by formula, pixel by pixel, nothing taken from the package."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


def clamp(x: float, low: float, high: float) -> float:
    return min(max(x, low), high)


@dataclass(frozen=True)
class Levels:
    """Step 2."""

    height: int
    width: int
    n: int

    @classmethod
    def of(cls, height: int, width: int) -> Levels:
        return cls(height, width, max(0, math.ceil(math.log2(max(height, width) / 320))))

    def factor(self, k: int) -> int:
        return 2 ** (self.n - k)

    def size(self, k: int) -> tuple[int, int]:
        return math.ceil(self.height / 2**self.n) * 2**k, math.ceil(self.width / 2**self.n) * 2**k

    def long_side(self, k: int) -> float:
        return max(self.height, self.width) / self.factor(k)


def image_levels(photo: NDArray[np.uint8], levels: Levels) -> list[Array]:
    """Step 3: I_0 … I_n."""
    images: list[Array] = [photo / 255]
    for k in reversed(range(levels.n)):
        above = images[0]
        below = np.empty((*levels.size(k), 3))
        for i, j in np.ndindex(*levels.size(k)):
            rows = [min(2 * i + r, above.shape[0] - 1) for r in (0, 1)]
            columns = [min(2 * j + r, above.shape[1] - 1) for r in (0, 1)]
            below[i, j] = np.sqrt(sum(above[r, c] ** 2 for r in rows for c in columns) / 4)
        images.insert(0, below)
    return images


def depth_input(photo: NDArray[np.uint8], height: int, width: int) -> Array:
    """Step 4, `[height, width, 3]`."""
    levels = Levels.of(*photo.shape[:2])
    images = image_levels(photo, levels)
    enough = (k for k, image in enumerate(images) if image.shape[0] >= height and image.shape[1] >= width)
    k = next(enough, levels.n)
    pitch = levels.height / (levels.factor(k) * height), levels.width / (levels.factor(k) * width)
    return resample(images[k], (height, width), pitch)


def resample(values: Array, size: tuple[int, int], pitch: tuple[float, float], largest: bool = False) -> Array:
    """The section "Resampling"."""
    down = np.stack([resample_line(column, size[0], pitch[0], largest) for column in np.moveaxis(values, 1, 0)], axis=1)
    return np.stack([resample_line(row, size[1], pitch[1], largest) for row in down])


def resample_line(line: Array, count: int, pitch: float, largest: bool) -> Array:
    f = max(1, math.floor(pitch))
    if f > 1:
        blocks = [[line[min(start + r, len(line) - 1)] for r in range(f)] for start in range(0, len(line), f)]
        line = np.array([np.max(block, axis=0) if largest else np.mean(block, axis=0) for block in blocks])
    result = []
    for i in range(count):
        x = clamp((i + 0.5) * pitch / f - 0.5, 0, len(line) - 1)
        t = x - math.floor(x)
        result.append((1 - t) * line[math.floor(x)] + t * line[min(math.floor(x) + 1, len(line) - 1)])
    return np.array(result)


def thinned(disparity: Array) -> tuple[Array, int]:
    """Step 6: every k-th row and column, and k."""
    k = max(1, math.ceil(max(disparity.shape) / 512))
    return disparity[::k, ::k], k


def focus_of_tap(disparity: Array, x: float, y: float, rho: float) -> float:
    """Step 6, from a tap."""
    h, w = disparity.shape
    r = max(1, round(0.01 * max(h, w)))
    row, column = min(math.floor(y * h), h - 1), min(math.floor(x * w), w - 1)

    def window(row: int, column: int, r: int, shape: tuple[int, ...]) -> list[tuple[int, int]]:
        inside = [(i, j) for i in range(row - r, row + r + 1) for j in range(column - r, column + r + 1)]
        return [(i, j) for i, j in inside if 0 <= i < shape[0] and 0 <= j < shape[1]]

    m = float(np.median([disparity[p] for p in window(row, column, r, disparity.shape)]))
    q = min(0.1, rho)
    if q == 0:
        return m
    d, k = thinned(disparity)
    alike = {p for p in np.ndindex(*d.shape) if abs(np.float32(d[p]) - np.float32(m)) <= np.float32(q)}
    waiting = [p for p in window(row // k, column // k, max(1, r // k), d.shape) if p in alike]
    filled: set[tuple[int, ...]] = set()
    while waiting:
        i, j = waiting.pop()
        if (i, j) in alike and (i, j) not in filled:
            filled.add((i, j))
            waiting += [(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)]
    return float(np.median([d[p] for p in filled])) if filled else m


def focus_by_itself(disparity: Array) -> float:
    """Step 6, without a tap."""
    d, _ = thinned(disparity)
    h, w = d.shape
    least, most = float(d.min()), float(d.max())
    if most == least:
        return least
    weighed = []
    for i, j in np.ndindex(h, w):
        u, v = (i + 0.5) / h - 0.5, (j + 0.5) / w - 0.5
        n = (float(d[i, j]) - least) / (most - least)
        weighed.append((float(d[i, j]), math.exp(-(u**2 + v**2) / (2 * 0.25**2)) * n**2))
    sums = [0.0] * 64
    for value, weight in weighed:
        sums[min(math.floor(value * 64), 63)] += weight
    totals = [sum(sums[b] for b in range(t - 20, t + 1) if 0 <= b <= 63) for t in range(84)]
    t = next(t for t in range(84) if totals[t] >= max(totals) * (1 - 1e-12))
    window = sorted((value, weight) for value, weight in weighed if t - 20 <= min(math.floor(value * 64), 63) <= t)
    half, total = sum(weight for _, weight in window) / 2, 0.0
    for value, weight in window:
        total += weight
        if total >= half:
            return value
    raise AssertionError("half of a weight lies somewhere")


def held(disparity: Array, focus: float, rho: float) -> Array:
    """Step 7."""
    return np.vectorize(lambda d: focus + np.sign(d - focus) * max(abs(d - focus) - rho, 0))(disparity)


def started(levels: Levels, disparity: Array, focus: float, aperture: float) -> Levels:
    """Step 8."""
    farthest = max(disparity.max() - focus, focus - disparity.min())
    weak = levels.n > 0 and farthest * aperture * levels.long_side(1) / 40 <= 8
    return Levels(levels.height, levels.width, levels.n - weak)


def disparity_of_level(disparity: Array, levels: Levels, k: int, blur: bool) -> Array:
    """Step 9."""
    h, w = disparity.shape
    pitch = (levels.factor(k) * h / levels.height, levels.factor(k) * w / levels.width)
    size = levels.size(k)
    mean = resample(disparity, size, pitch)
    if max(pitch) < 2:
        return mean
    nearest = resample(disparity, size, pitch, largest=True)

    def around(i: int, j: int) -> list[tuple[int, int]]:
        inside = range(-1, 2)
        return [(int(clamp(i + a, 0, size[0] - 1)), int(clamp(j + b, 0, size[1] - 1))) for a in inside for b in inside]

    thin, full = set(), set()
    for i, j in np.ndindex(*size):
        most, least = max(mean[p] for p in around(i, j)), min(mean[p] for p in around(i, j))
        if nearest[i, j] - most > 0.1 * (nearest[i, j] - least):
            thin.add((i, j))
            if mean[i, j] >= most:
                full.add((i, j))
    taken = {p for p in thin if p in full or not full & set(around(*p))} if blur else thin
    result = mean.copy()
    for p in taken:
        result[p] = nearest[p]
    return result


def defocus(disparity: Array, levels: Levels, k: int, focus: float, aperture: float) -> Array:
    """Step 10, in pixels."""
    return (disparity - focus) * aperture * levels.long_side(k) / 40


def network_defocus(c: Array) -> Array:
    """Step 10, as the networks get it."""
    return np.vectorize(lambda r: clamp(r / 8, -1, 1))(c)


def corners(length: int, core: int) -> list[tuple[int, int]]:
    """Step 11 along one axis: where each core begins, and its length."""
    return [(top, min(core, length - top)) for top in range(0, length, core)]


def cut(picture: NDArray[Any], top: int, left: int, tile: int, halo: int) -> NDArray[Any]:
    """Step 11: a tile's input."""
    height, width = picture.shape[:2]
    rows = [int(clamp(top - halo + r, 0, height - 1)) for r in range(tile)]
    columns = [int(clamp(left - halo + r, 0, width - 1)) for r in range(tile)]
    return picture[rows][:, columns]


@dataclass(frozen=True)
class Cut:
    """Tiles of a stage, as the manifest's plan gives them."""

    tile: int
    halo: int

    @property
    def core(self) -> int:
        return self.tile - 2 * self.halo


Blur = Callable[[Array, Array], Array]
Upsampling = Callable[[Array, Array, Array, Array], Array]


@dataclass(frozen=True)
class Renderer:
    """Steps 8 to 12 with two networks; their pictures are `[h, w, 3]`, their maps `[h, w]`."""

    blur: Blur
    upsampling: Upsampling
    blur_cut: Cut
    upsampling_cut: Cut
    copy_below: float

    def render(self, photo: NDArray[np.uint8], disparity: Array, focus: float, aperture: float) -> Array:
        levels = started(Levels.of(*photo.shape[:2]), disparity, focus, aperture)
        images = image_levels(photo, levels)

        def c(k: int, blur: bool) -> Array:
            return defocus(disparity_of_level(disparity, levels, k, blur), levels, k, focus, aperture)

        result = self._blurred(images[0], c(0, blur=True))
        for k in range(1, levels.n + 1):
            result = self._upsampled(images[k], images[k - 1], result, c(k - 1, blur=False), levels.size(k))
        return result[: levels.height, : levels.width]

    def _blurred(self, image: Array, c: Array) -> Array:
        result, (tile, halo) = np.empty((*c.shape, 3)), (self.blur_cut.tile, self.blur_cut.halo)
        for top, height in corners(c.shape[0], self.blur_cut.core):
            for left, width in corners(c.shape[1], self.blur_cut.core):
                sharp, radius = cut(image, top, left, tile, halo), cut(c, top, left, tile, halo)
                copied = np.abs(radius).max() < self.copy_below
                output = sharp if copied else self.blur(sharp, network_defocus(radius))
                core = output[halo : halo + height, halo : halo + width]
                result[top : top + height, left : left + width] = core.clip(0, 1)
        return result

    def _upsampled(self, high: Array, low: Array, blurred: Array, c: Array, size: tuple[int, int]) -> Array:
        result, (tile, halo) = np.empty((*size, 3)), (self.upsampling_cut.tile, self.upsampling_cut.halo)
        for top, height in corners(c.shape[0], self.upsampling_cut.core):
            for left, width in corners(c.shape[1], self.upsampling_cut.core):
                sharp, radius = cut(high, 2 * top, 2 * left, 2 * tile, 2 * halo), cut(c, top, left, tile, halo)
                copied = np.abs(radius).max() < self.copy_below
                below, soft = cut(low, top, left, tile, halo), cut(blurred, top, left, tile, halo)
                output = sharp if copied else self.upsampling(sharp, below, soft, network_defocus(radius))
                core = output[2 * halo : 2 * (halo + height), 2 * halo : 2 * (halo + width)]
                result[2 * top : 2 * (top + height), 2 * left : 2 * (left + width)] = core.clip(0, 1)
        return result

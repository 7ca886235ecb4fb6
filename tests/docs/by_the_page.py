"""The steps as a bundle's README.md and docs/pipeline.md tell them, in plain numpy: nothing is taken from the package,
every number from a manifest as JSON has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Size = tuple[int, int]
Constants = Mapping[str, Any]
"""`rules` of a manifest."""


@dataclass(frozen=True)
class Levels:
    """Step 2."""

    height: int
    width: int
    n: int

    @classmethod
    def of(cls, height: int, width: int, rules: Constants) -> Levels:
        n = 0
        while max(height, width) / 2**n > rules["lowest_long_side"]:
            n += 1
        return cls(height, width, n)

    def factor(self, k: int) -> int:
        return 2 ** (self.n - k)

    def size(self, k: int) -> Size:
        return math.ceil(self.height / 2**self.n) * 2**k, math.ceil(self.width / 2**self.n) * 2**k

    def long_side(self, k: int) -> float:
        return max(self.height, self.width) / self.factor(k)


def clamped(picture: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    """Rows and columns of a picture, the edge repeated."""
    return picture[rows.clip(0, picture.shape[0] - 1)][:, columns.clip(0, picture.shape[1] - 1)]


def image_levels(photo: NDArray[np.uint8], levels: Levels) -> list[Array]:
    """Step 3: I_0 … I_n."""
    images: list[Array] = [photo / 255]
    for k in reversed(range(levels.n)):
        height, width = levels.size(k)
        above = clamped(images[0], np.arange(2 * height), np.arange(2 * width)) ** 2
        a, b, c, d = above[::2, ::2], above[::2, 1::2], above[1::2, ::2], above[1::2, 1::2]
        images.insert(0, np.sqrt((a + b + c + d) / 4))
    return images


def resample(values: NDArray[Any], size: Size, pitch: tuple[float, float]) -> Array:
    """The section "Resampling"."""
    down = _resample_rows(values.astype(np.float64), size[0], pitch[0])
    return np.swapaxes(_resample_rows(np.swapaxes(down, 0, 1), size[1], pitch[1]), 0, 1)


def _resample_rows(values: Array, count: int, pitch: float) -> Array:
    s, result = max(1.0, pitch), np.empty((count, *values.shape[1:]))
    for i in range(count):
        x = (i + 0.5) * pitch
        j = np.arange(math.floor(x - s / 2), math.ceil(x + s / 2) + 1)
        w = np.maximum(0, np.minimum(j + 1, x + s / 2) - np.maximum(j, x - s / 2)) / s
        rows = values[j.clip(0, len(values) - 1)]
        result[i] = (w.reshape(-1, *[1] * (values.ndim - 1)) * rows).sum(axis=0)
    return result


def depth_size(height: int, width: int, plan: Mapping[str, Any]) -> Size:
    """Step 4: which of the network's sizes."""
    sizes = [(plan["depth_height"], plan["depth_width"]), *map(tuple, plan["further_depth_sizes"])]
    return min(sizes, key=lambda size: abs(math.log((size[0] * width) / (size[1] * height))))


def depth_input(photo: NDArray[np.uint8], size: Size) -> Array:
    """Step 4, `[height, width, 3]`."""
    return resample(photo, size, (photo.shape[0] / size[0], photo.shape[1] / size[1])) / 255


def refined(disparity: Array, photo: NDArray[np.uint8], rules: Constants) -> Array:
    """Step 5, of a measured map that is much smaller than the photo."""
    size, small = photo.shape[:2], disparity.shape
    scale = min(1, rules["refine_long_side"] / max(size))
    goal = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    if max(size) < rules["refine_from"] * max(small) or max(goal) <= max(small):
        return disparity
    guide, colours = depth_input(photo, goal), depth_input(photo, (small[0], small[1]))
    pitch = small[0] / goal[0], small[1] / goal[1]
    around = [
        (2 * np.arange(n) + 1)[:, None] * side // (2 * n) + np.arange(-1, 2)
        for n, side in zip(goal, small, strict=True)
    ]
    offsets = [at + 0.5 - (np.arange(len(at))[:, None] + 0.5) * step for at, step in zip(around, pitch, strict=True)]
    rows, columns = (at.clip(0, side - 1) for at, side in zip(around, small, strict=True))
    window = (rows[:, None, :, None], columns[None, :, None, :])  # [H', W', 3, 3]
    d, unlike = disparity[window], ((colours[window] - guide[:, :, None, None]) ** 2).sum(axis=4)
    away = offsets[0][:, None, :, None] ** 2 + offsets[1][None, :, None, :] ** 2
    exponent = -away / (2 * rules["refine_distance"] ** 2) - unlike / (2 * rules["refine_colour"] ** 2)
    a = np.exp(exponent - exponent.max(axis=(2, 3), keepdims=True))
    m = (a * d).sum(axis=(2, 3), keepdims=True) / a.sum(axis=(2, 3), keepdims=True)
    b = a * (np.exp(-((d - m) ** 2) / (2 * rules["refine_alike"] ** 2)) + rules["refine_least"])
    own_side = (b * d).sum(axis=(2, 3)) / b.sum(axis=(2, 3))
    spread = d.max(axis=(2, 3)) - d.min(axis=(2, 3))
    return np.where(spread > rules["refine_edge"], own_side, resample(disparity, goal, pitch))


def focus_of_tap(disparity: Array, x: float, y: float, rho: float, rules: Constants) -> float:
    """Step 6, from a tap."""
    h, w = disparity.shape
    k = math.ceil(max(h, w) / rules["focus_long_side"])
    r = max(1, round(rules["tap_window"] * max(h, w)))
    row, column = min(math.floor(y * h), h - 1), min(math.floor(x * w), w - 1)
    m = float(np.median(disparity[_window(row, r)][:, _window(column, r)]))
    q = min(rules["tap_alike"], rho)
    if q == 0:
        return m
    d, near = disparity[::k, ::k], max(1, r // k)
    alike = np.abs(d.astype(np.float32) - np.float32(m)) <= np.float32(q)
    middle = min(row // k, d.shape[0] - 1), min(column // k, d.shape[1] - 1)
    seeds = np.argwhere(alike[_window(middle[0], near)][:, _window(middle[1], near)])
    waiting = [(max(0, middle[0] - near) + i, max(0, middle[1] - near) + j) for i, j in seeds.tolist()]
    filled = np.zeros_like(alike)
    while waiting:
        i, j = waiting.pop()
        if 0 <= i < d.shape[0] and 0 <= j < d.shape[1] and alike[i, j] and not filled[i, j]:
            filled[i, j] = True
            waiting += [(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)]
    return float(np.median(d[filled])) if filled.any() else m


def _window(middle: int, r: int) -> slice:
    return slice(max(0, middle - r), middle + r + 1)


def focus_by_itself(disparity: Array, rules: Constants) -> float:
    """Step 6, without a tap."""
    k = math.ceil(max(disparity.shape) / rules["focus_long_side"])
    d = disparity[::k, ::k].astype(np.float64)
    h, w = d.shape
    if d.max() == d.min():
        return float(d.min())
    u, v = (np.arange(h)[:, None] + 0.5) / h - 0.5, (np.arange(w)[None] + 0.5) / w - 0.5
    near = (d - d.min()) / (d.max() - d.min())
    weight = np.exp(-(u**2 + v**2) / (2 * rules["subject_spread"] ** 2)) * near**2
    bins, number = rules["subject_bins"], rules["subject_window"]
    inside = np.floor(d * bins).clip(0, bins - 1).astype(int)
    sums = [float(weight[inside == b].sum()) for b in range(bins)]
    totals = [sum(sums[max(0, t - number + 1) : t + 1]) for t in range(bins + number - 1)]
    t = next(t for t in range(len(totals)) if totals[t] >= max(totals) * (1 - 1e-12))
    chosen = (inside > t - number) & (inside <= t)
    order = np.argsort(d[chosen], kind="stable")
    reached = np.cumsum(weight[chosen][order])
    return float(d[chosen][order][np.flatnonzero(reached >= reached[-1] / 2)[0]])


def held(disparity: Array, focus: float, rho: float) -> Array:
    """Step 7."""
    return focus + np.sign(disparity - focus) * np.maximum(np.abs(disparity - focus) - rho, 0)


def started(levels: Levels, disparity: Array, focus: float, aperture: float, rules: Constants) -> Levels:
    """Step 8."""
    farthest = max(disparity.max() - focus, focus - disparity.min())
    radius = farthest * aperture * levels.long_side(1) / rules["long_side_per_radius"]
    weak = levels.n > 0 and radius <= rules["network_radius"]
    return Levels(levels.height, levels.width, levels.n - int(weak))


def largest(disparity: Array, levels: Levels, k: int) -> Array:
    """Step 9.3."""
    for axis, side in enumerate((levels.height, levels.width)):
        span, rows = levels.factor(k) * disparity.shape[0], []
        for i in range(levels.size(k)[axis]):
            first = -((side - 2 * i * span) // (2 * side))
            last = -((side - 2 * (i + 1) * span) // (2 * side)) - 1
            end = len(disparity) - 1
            rows.append(disparity[min(first, end) : min(last, end) + 1].max(axis=0))
        disparity = np.array(rows).T
    return disparity


def disparity_of_level(disparity: Array, levels: Levels, k: int, blur: bool, rules: Constants) -> Array:
    """Step 9."""
    h, w = disparity.shape
    pitch = (levels.factor(k) * h / levels.height, levels.factor(k) * w / levels.width)
    mean = resample(disparity, levels.size(k), pitch)
    if min(pitch) < rules["thin_pitch"]:
        return mean
    nearest = largest(disparity, levels, k)
    most, least = _around(mean, np.max), _around(mean, np.min)
    thin = nearest - most > rules["thin_share"] * (nearest - least)
    if blur:
        full = thin & (mean >= most - rules["thin_tie"])
        thin = full | (thin & ~_around(full, np.any))
    return np.where(thin, nearest, mean)


def _around(values: NDArray[Any], reduce: Callable[..., NDArray[Any]]) -> NDArray[Any]:
    """Of the 3 × 3 pixels around each, the edge repeated."""
    rows, columns = np.arange(-1, values.shape[0] + 1), np.arange(-1, values.shape[1] + 1)
    windows = np.lib.stride_tricks.sliding_window_view(clamped(values, rows, columns), (3, 3))
    return reduce(windows, axis=(2, 3))


def defocus(disparity: Array, levels: Levels, k: int, focus: float, aperture: float, rules: Constants) -> Array:
    """Step 10, in pixels."""
    return (disparity - focus) * aperture * levels.long_side(k) / rules["long_side_per_radius"]


def network_defocus(c: Array, rules: Constants) -> Array:
    """Step 10, as the networks get it."""
    return (c / rules["network_radius"]).clip(-1, 1)


def corners(length: int, core: int) -> list[tuple[int, int]]:
    """Step 11 along one axis: where each core begins, and its length."""
    return [(top, min(core, length - top)) for top in range(0, length, core)]


def cut(picture: NDArray[Any], top: int, left: int, tile: int, halo: int) -> NDArray[Any]:
    """Step 11: a tile's input."""
    return clamped(picture, np.arange(tile) + top - halo, np.arange(tile) + left - halo)


@dataclass(frozen=True)
class Cut:
    """Tiles of a stage, as the manifest's plan gives them."""

    tile: int
    halo: int

    @property
    def core(self) -> int:
        return self.tile - 2 * self.halo

    def last(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Corner of the core of the last tile of a picture."""
        return corners(size[0], self.core)[-1][0], corners(size[1], self.core)[-1][0]


Blur = Callable[[Array, Array], Array]
Upsampling = Callable[[Array, Array, Array, Array], Array]


def stand_in_blur(image: Array, x: Array) -> Array:
    """The section "Step cases"."""
    t = np.arange(len(image))
    beside, above = clamped(image, t, t + 3), clamped(image, t - 2, t)
    return (image + beside + above) / 3 * (1.2 - x[..., None] / 2) - 0.05


def stand_in_upsampling(high: Array, low: Array, blurred: Array, x: Array) -> Array:
    """The section "Step cases"."""
    t = np.arange(len(low))
    soft = (blurred + clamped(blurred, t, t - 1)) / 2
    half = np.arange(2 * len(low)) // 2
    return (
        clamped(soft, half, half)
        + (high - clamped(low, half, half)) * (1.1 - np.abs(clamped(x, half, half)))[..., None]
    )


@dataclass(frozen=True)
class Renderer:
    """Steps 11 and 12 with two networks; their pictures are `[h, w, 3]`, their maps `[h, w]`."""

    blur: Blur
    upsampling: Upsampling
    blur_cut: Cut
    upsampling_cut: Cut
    copy_below: float
    rules: Constants

    @classmethod
    def by(cls, plan: Mapping[str, Any], rules: Constants, blur: Blur, upsampling: Upsampling) -> Renderer:
        """As a manifest says."""
        below, above = (Cut(plan[stage]["tile"], plan[stage]["halo"]) for stage in ("lens_blur", "guided_upsampling"))
        return cls(blur, upsampling, below, above, plan["copy_below"], rules)

    def levels(
        self, images: list[Array], blur_radius: Array, radii: list[Array]
    ) -> tuple[list[Array], list[NDArray[np.bool_]]]:
        """B_0 … B_n, each padded, and which tiles of each were copied."""
        result, copied = self._blurred(images[0], blur_radius)
        results, copies = [result], [copied]
        for k, radius in enumerate(radii, start=1):
            result, copied = self._upsampled(images[k], images[k - 1], result, radius)
            results.append(result)
            copies.append(copied)
        return results, copies

    def render(self, photo: NDArray[np.uint8], disparity: Array, focus: float, aperture: float) -> Array:
        """Steps 8 to 12."""
        levels = started(Levels.of(photo.shape[0], photo.shape[1], self.rules), disparity, focus, aperture, self.rules)

        def c(k: int, blur: bool) -> Array:
            values = disparity_of_level(disparity, levels, k, blur, self.rules)
            return defocus(values, levels, k, focus, aperture, self.rules)

        results, _ = self.levels(
            image_levels(photo, levels), c(0, blur=True), [c(k, blur=False) for k in range(levels.n)]
        )
        return results[-1][: levels.height, : levels.width]

    def _copied(self, radius: Array) -> bool:
        return bool(np.abs(radius).max() < self.copy_below)

    def _blurred(self, image: Array, c: Array) -> tuple[Array, NDArray[np.bool_]]:
        result, (tile, halo) = np.empty((*c.shape, 3)), (self.blur_cut.tile, self.blur_cut.halo)
        copies = []
        for top, height in corners(c.shape[0], self.blur_cut.core):
            for left, width in corners(c.shape[1], self.blur_cut.core):
                sharp, radius = cut(image, top, left, tile, halo), cut(c, top, left, tile, halo)
                copies.append(self._copied(radius))
                output = sharp if copies[-1] else self.blur(sharp, network_defocus(radius, self.rules))
                core = output[halo : halo + height, halo : halo + width]
                result[top : top + height, left : left + width] = core.clip(0, 1)
        return result, np.array(copies).reshape(len(corners(c.shape[0], self.blur_cut.core)), -1)

    def _upsampled(self, high: Array, low: Array, blurred: Array, c: Array) -> tuple[Array, NDArray[np.bool_]]:
        result = np.empty((2 * c.shape[0], 2 * c.shape[1], 3))
        tile, halo, copies = self.upsampling_cut.tile, self.upsampling_cut.halo, []
        for top, height in corners(c.shape[0], self.upsampling_cut.core):
            for left, width in corners(c.shape[1], self.upsampling_cut.core):
                sharp, radius = cut(high, 2 * top, 2 * left, 2 * tile, 2 * halo), cut(c, top, left, tile, halo)
                copies.append(self._copied(radius))
                below, soft = cut(low, top, left, tile, halo), cut(blurred, top, left, tile, halo)
                x = network_defocus(radius, self.rules)
                output = sharp if copies[-1] else self.upsampling(sharp, below, soft, x)
                core = output[2 * halo : 2 * (halo + height), 2 * halo : 2 * (halo + width)]
                result[2 * top : 2 * (top + height), 2 * left : 2 * (left + width)] = core.clip(0, 1)
        return result, np.array(copies).reshape(len(corners(c.shape[0], self.upsampling_cut.core)), -1)

"""What a layer of a scene is made of: its picture (from a photo or drawn), its light, its slant or curve in depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...runtime_ref.pipeline.resampling import resize
from ..rendering.lens import Array, to_linear
from .mattes import random_matte
from .sources import Sources, read_image, read_mask
from .textures import Rng, Size, lights, log_uniform, noise, random_texture

BURNT_OUT = 1 / 3
"""Share of pictures whose small clipped spots shine above 1, once and a half to seven times as bright as white."""


def surface(rng: Rng, size: Size, sources: Sources, real: float) -> Array:
    """A picture that fills the canvas, [H, W, 3] sRGB-encoded: with probability `real` of a photo, if there are any."""
    files = (*sources.photos, *(image for image, _ in sources.cutouts))
    if not files or rng.random() >= real:
        return random_texture(rng, size)
    photo = read_image(files[rng.integers(len(files))])
    least = 0.6 * size[0] / max(photo.shape[:2])  # smaller ones would repeat too often to look like a place
    zoom = max(least, log_uniform(rng, 0.6, 2.5))
    return _with_grain(rng, _tile(rng, resize(photo, _scaled(photo, zoom)), size))


def foreground(rng: Rng, size: Size, sources: Sources, real: float) -> tuple[Array, Array]:
    """Picture [H, W, 3] and coverage [H, W] of something in front."""
    if sources.cutouts and rng.random() < 0.7 * real:
        return _cutout(rng, size, sources)
    return surface(rng, size, sources, real), random_matte(rng, size)


def set_apart(rng: Rng, picture: Array, alpha: Array, behind: Array) -> Array:
    """The foreground's picture under a light of its own, and strong enough to tell it from what it stands before."""
    picture = picture * np.exp(rng.normal(0, 0.3) + rng.normal(0, 0.08, 3)).astype(np.float32)
    weight = alpha / max(float(alpha.sum()), 1.0)
    ours, theirs = (float((p.mean(axis=2) * weight).sum()) for p in (picture, behind))
    if rng.random() < 0.3 or abs(ours - theirs) < 0.08:  # dark before bright, or bright before dark
        aim = rng.uniform(0.03, 0.3) if theirs > 0.4 else rng.uniform(0.6, 0.95)
        gain = np.log(aim) / np.log(np.clip(ours, 0.02, 0.98))
        picture = np.clip(picture, 0, 1) ** np.float32(np.clip(gain, 0.3, 3))
    return np.clip(picture, 0, 1).astype(np.float32)


def emit(rng: Rng, picture: Array) -> Array:
    """sRGB → radiance. In some pictures small clipped spots shine above 1, and some get lamps: both become discs when
    blurred.

    How bright a clipped spot was, no picture tells: in the other pictures it just reached white. Large clipped areas
    (paper, cloth, sky) always stay at 1, or blur would grow them as it never does in photos.
    """
    light = to_linear(picture)
    excess = log_uniform(rng, 0.5, 6.0) if rng.random() < BURNT_OUT else 0.0
    if excess:
        light = light * (1 + np.float32(excess) * _spots(picture.min(axis=2) > 0.97)[..., None])
    if rng.random() < 0.2:
        light = light * np.float32(rng.uniform(0.1, 1)) + lights(rng, picture.shape[:2], int(rng.integers(5, 60)))
    return light.astype(np.float32)


def _spots(clipped: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What of `clipped` [H, W] belongs to no large area: neither its inside nor its rim, however thin that runs out."""
    reach = max(2, clipped.shape[1] // 80)
    inside = np.asarray(ndimage.binary_opening(clipped[::2, ::2], np.ones((reach, reach))), bool)
    areas = np.asarray(ndimage.label(clipped)[0])  # pyright: ignore[reportIndexIssue]
    return clipped & ~np.isin(areas, np.unique(areas[::2, ::2][inside]))


def sheet(rng: Rng, size: Size, depth: float, room: tuple[float, float]) -> Array:
    """Disparity [H, W] around `depth`: flat, slanted (affine in pixels) or smoothly curved.

    It stays within `room`, so that layers never pass through one another.
    """
    y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j].astype(np.float32)
    kind = rng.random()
    if kind < 0.5:
        return np.full(size, depth, np.float32)
    if kind < 0.78:
        return _within(depth, rng.normal(0, 0.07) * x + rng.normal(0, 0.07) * y, room)
    return _within(depth, rng.normal(0, 0.08) * (x**2 + y**2) + rng.normal(0, 0.025) * noise(rng, size, 2.5), room)


def ground(rng: Rng, size: Size, room: tuple[float, float]) -> Array:
    """Disparity [H, W] of a floor: affine, nearer towards the bottom edge, within `room`."""
    y, x = np.mgrid[0 : 1 : size[0] * 1j, -0.5 : 0.5 : size[1] * 1j].astype(np.float32)
    span = (room[1] - room[0]) * rng.uniform(0.5, 1)
    return _within(room[0] + rng.uniform(0, 1) * (room[1] - room[0] - span), span * y + rng.normal(0, 0.03) * x, room)


def _within(depth: float, relief: Array, room: tuple[float, float]) -> Array:
    """`depth` + `relief`, the relief flattened as far as `room` demands: what was affine stays affine."""
    above, below = max(float(relief.max()), 1e-6), max(-float(relief.min()), 1e-6)
    share = min(1.0, (room[1] - depth) / above, (depth - room[0]) / below)
    return np.clip(depth + np.float32(share) * relief, 0, 1).astype(np.float32)


def _cutout(rng: Rng, size: Size, sources: Sources) -> tuple[Array, Array]:
    """A subject cut out of a photo by its mask, somewhere on the canvas."""
    image_file, mask_file = sources.cutouts[rng.integers(len(sources.cutouts))]
    image, mask = read_image(image_file), read_mask(mask_file)
    mask = np.asarray(ndimage.grey_erosion(mask, size=(3, 3)), np.float32)  # a pixel less keeps the old background out
    zoom = rng.uniform(0.5, 1.4) * size[0] / max(image.shape[:2])
    shape = _scaled(image, zoom)
    smooth = np.asarray(ndimage.gaussian_filter(mask, 0.7), np.float32)
    mask = np.clip(3 * resize(smooth, shape) - 1, 0, 1)  # upscaled edges sharp again
    picture, alpha = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
    shift = [round(rng.uniform(-0.25, 0.25) * side + (side - own) / 2) for side, own in zip(size, shape, strict=True)]
    if mask[-1].any():  # what its own photo cuts off at the bottom ends below the canvas
        shift[0] = size[0] - round(rng.uniform(0.8, 1) * shape[0])
    here = tuple(slice(max(s, 0), min(s + own, side)) for s, own, side in zip(shift, shape, size, strict=True))
    there = tuple(slice(h.start - s, h.stop - s) for h, s in zip(here, shift, strict=True))
    picture[here], alpha[here] = _with_grain(rng, resize(image, shape))[there], mask[there]
    return picture, alpha.astype(np.float32)


def _with_grain(rng: Rng, picture: Array) -> Array:
    """Fine detail for enlarged photos, so that sharpness at full size is there to be kept."""
    strength = rng.uniform(0, 0.06) if rng.random() < 0.7 else 0.0
    grain = noise(rng, picture.shape[:2], rng.uniform(0, 0.6))
    return np.clip(picture + np.float32(strength) * grain[..., None], 0, 1)


def _tile(rng: Rng, photo: Array, size: Size) -> Array:
    """A crop of `size` at random; photos that are too small go on mirrored."""
    pad = [(0, max(0, side - own)) for side, own in zip(size, photo.shape, strict=False)]
    photo = np.pad(photo, [*pad, (0, 0)], mode="symmetric")
    y, x = (int(rng.integers(own - side + 1)) for side, own in zip(size, photo.shape, strict=False))
    return photo[y : y + size[0], x : x + size[1]].astype(np.float32, copy=False)


def _scaled(picture: Array, zoom: float) -> Size:
    return max(16, round(picture.shape[0] * zoom)), max(16, round(picture.shape[1] * zoom))

"""Random layered scenes with exact depth of field: what lens blur and guided upsampling learn from.

A scene is drawn from its seed alone: the same seed and sources give the same scene on any machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...runtime_ref.optics import NETWORK_RADIUS
from ...runtime_ref.pyramid import resize
from ..rendering.layered import Layer, SceneLens, render
from ..rendering.lens import Array, to_linear, to_srgb
from .sources import Sources, read_image, read_mask
from .textures import Rng, Size, lights, noise, random_shape, random_texture


@dataclass(frozen=True)
class SceneSettings:
    """What all scenes of a run share.

    Attributes:
        size: side of the square picture in pixels at full resolution.
        levels: doublings from the lowest level to the full size; the blur reaches 8 · 2^levels pixels.
        real: share of surfaces taken from the sources' pictures, where there are any.
        corrupted: share of scenes whose disparity is given as badly as a depth network gives it.
    """

    size: int = 640
    levels: int = 3
    real: float = 0.7
    corrupted: float = 0.4

    @property
    def unit(self) -> int:
        """Full-resolution pixels of one lowest-level pixel."""
        return 2**self.levels

    @property
    def margin(self) -> int:
        """Pixels around the picture that its blur can see."""
        return int(NETWORK_RADIUS) * self.unit


@dataclass(frozen=True)
class Scene:
    """A picture, its disparity and lens, and what the lens makes of it.

    Attributes:
        sharp: [S, S, 3], all in focus, sRGB-encoded in [0, 1].
        blurred: [S, S, 3], through the lens, sRGB-encoded in [0, 1].
        disparity: [S, S] in [0, 1], 1 = nearest; as a depth network might give it, so not always true.
        lens: focus, aperture and long side at full size (a virtual photo of which the scene is a part).
    """

    sharp: Array
    blurred: Array
    disparity: Array
    lens: SceneLens


def random_scene(seed: tuple[int, ...], settings: SceneSettings, sources: Sources) -> Scene:
    """Draw and render one scene."""
    rng = np.random.default_rng(seed)
    side = settings.size + 2 * settings.margin
    layers = _layers(rng, (side, side), settings, sources)
    lens = _lens(rng, layers, settings)
    inner = slice(settings.margin, settings.margin + settings.size)
    sharp = render(layers, SceneLens(lens.focus, 0.0, lens.long_side))
    blurred = render(layers, lens)
    disparity = _seen_disparity(layers)
    if rng.random() < settings.corrupted:
        disparity = _corrupt(rng, disparity, settings.unit)
    return Scene(to_srgb(sharp[inner, inner]), to_srgb(blurred[inner, inner]), disparity[inner, inner], lens)


def _layers(rng: Rng, size: Size, settings: SceneSettings, sources: Sources) -> list[Layer]:
    """Background and one to three foregrounds, far to near."""
    count = int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))
    depths = np.sort(rng.uniform(0, 1, count + 1))
    if rng.random() < 0.6:  # a portrait: the background is well behind
        depths[0] *= 0.4
    background = _surface(rng, size, settings, sources)
    opaque = np.ones(size, np.float32)
    layers = [Layer(_emit(rng, background), opaque, _sheet(rng, size, depths[0], ground=rng.random() < 0.3))]
    for depth in depths[1:]:
        picture, alpha = _foreground(rng, size, settings, sources)
        layers.append(Layer(_emit(rng, picture), alpha, _sheet(rng, size, depth, ground=False)))
    return layers


def _lens(rng: Rng, layers: list[Layer], settings: SceneSettings) -> SceneLens:
    """Focus mostly on a layer's visible middle, any aperture, sometimes everything in focus."""
    if rng.random() < 0.75:
        layer = layers[rng.integers(len(layers))] if rng.random() < 0.4 else layers[-1]
        visible = layer.disparity[layer.alpha > 0.5]
        focus = float(np.median(visible)) if visible.size else 0.5
    else:
        focus = float(rng.uniform(0, 1))
    aperture = float(rng.uniform(0, 0.08)) if rng.random() < 0.06 else float(rng.uniform(0.25, 1))
    return SceneLens(focus, aperture, float(rng.uniform(220, 320)) * settings.unit)


def _surface(rng: Rng, size: Size, settings: SceneSettings, sources: Sources) -> Array:
    """A picture that fills the canvas, [H, W, 3] sRGB-encoded."""
    files = (*sources.photos, *(image for image, _ in sources.cutouts))
    if not files or rng.random() >= settings.real:
        return random_texture(rng, size)
    photo = read_image(files[rng.integers(len(files))])
    least = 0.6 * size[0] / max(photo.shape[:2])  # smaller ones would repeat too often to look like a place
    zoom = max(least, math.exp(rng.uniform(math.log(0.6), math.log(2.5))))
    photo = resize(photo, _scaled(photo, zoom))
    return _with_grain(rng, _tile(rng, photo, size))


def _foreground(rng: Rng, size: Size, settings: SceneSettings, sources: Sources) -> tuple[Array, Array]:
    """Picture [H, W, 3] and coverage [H, W] of something in front."""
    if sources.cutouts and rng.random() < settings.real:
        return _cutout(rng, size, sources)
    return _surface(rng, size, settings, sources), random_shape(rng, size)


def _cutout(rng: Rng, size: Size, sources: Sources) -> tuple[Array, Array]:
    """A subject cut out of a photo by its mask, somewhere on the canvas."""
    image_file, mask_file = sources.cutouts[rng.integers(len(sources.cutouts))]
    image, mask = read_image(image_file), read_mask(mask_file)
    mask = np.asarray(ndimage.grey_erosion(mask, size=(3, 3)), np.float32)  # a pixel less keeps the old background out
    zoom = rng.uniform(0.5, 1.4) * size[0] / max(image.shape[:2])
    shape = _scaled(image, zoom)
    mask = np.clip(3 * resize(_smoothed(mask, 0.7), shape) - 1, 0, 1)  # upscaled edges sharp again
    picture, alpha = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
    shift = [round(rng.uniform(-0.25, 0.25) * side + (side - own) / 2) for side, own in zip(size, shape, strict=True)]
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
    return photo[y : y + size[0], x : x + size[1]]


def _emit(rng: Rng, picture: Array) -> Array:
    """sRGB → radiance. Small clipped spots shine above 1, and some scenes get lamps: both become discs when blurred.

    Large clipped areas (paper, sky) stay at 1, or blur would grow them as it never does in photos.
    """
    light = to_linear(picture)
    clipped = picture.min(axis=2) > 0.97
    if clipped.any():
        reach = max(2, picture.shape[1] // 80)
        large = np.asarray(ndimage.binary_opening(clipped[::2, ::2], np.ones((reach, reach))), bool)
        large = large.repeat(2, axis=0).repeat(2, axis=1)[: picture.shape[0], : picture.shape[1]]
        light = light * (1 + 3 * (clipped & ~large)[..., None].astype(np.float32))
    if rng.random() < 0.2:
        light = light * np.float32(rng.uniform(0.1, 1)) + lights(rng, picture.shape[:2], int(rng.integers(5, 60)))
    return light.astype(np.float32)


def _sheet(rng: Rng, size: Size, depth: float, ground: bool) -> Array:
    """Disparity [H, W] around `depth`: flat, slanted or curved; a ground comes nearer towards the bottom edge."""
    y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j].astype(np.float32)
    if ground:
        plane = depth + rng.uniform(0.1, 0.5) * (y + rng.uniform(-0.3, 0.5))
    elif (kind := rng.random()) < 0.55:
        plane = np.full(size, depth)
    elif kind < 0.8:
        plane = depth + rng.normal(0, 0.06) * x + rng.normal(0, 0.06) * y
    else:
        plane = depth + rng.normal(0, 0.06) * (x**2 + y**2) + 0.02 * noise(rng, size, 2.5)
    return np.clip(plane, 0, 1).astype(np.float32)


def _seen_disparity(layers: list[Layer]) -> Array:
    """Disparity [H, W] of the nearest layer that covers at least half of a pixel."""
    disparity = layers[0].disparity
    for layer in layers[1:]:
        disparity = np.where(layer.alpha > 0.5, layer.disparity, disparity)
    return disparity


def _corrupt(rng: Rng, disparity: Array, unit: int) -> Array:
    """Mistakes of a depth network: soft edges, edges a little off, a wrong offset; `unit` is a lowest-level pixel."""
    kind = rng.random()
    if kind < 0.5:
        return _smoothed(disparity, rng.uniform(0.4, 1.3) * unit)
    if kind < 0.85:
        reach = 2 * int(rng.uniform(0.3, 1.2) * unit) + 1
        shift = ndimage.maximum_filter if rng.random() < 0.5 else ndimage.minimum_filter
        return _smoothed(np.asarray(shift(disparity, size=reach), np.float32), 0.4 * unit)
    return np.clip(disparity + rng.normal(0, 0.02), 0, 1).astype(np.float32)


def _scaled(picture: Array, zoom: float) -> Size:
    return max(16, round(picture.shape[0] * zoom)), max(16, round(picture.shape[1] * zoom))


def _smoothed(plane: Array, sigma: float) -> Array:
    return np.asarray(ndimage.gaussian_filter(plane, sigma), np.float32)

"""Ground truth for the blur: layers of colour, coverage and disparity, seen through a lens of finite aperture.

Every layer is blurred by itself in linear light and the layers are composited back to front with their blurred
coverage (Wang et al. 2018, sec. 4.2). What a defocused edge hides and reveals is right because the scene, unlike a
photo, is known behind its foreground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...runtime_ref.pipeline.optics import defocus
from ...runtime_ref.pipeline.portrait import Lens
from .lens import Array, disc_spectrum, from_spectrum, spectrum

RADIUS_STEP = 1.5
"""Pixels between the radii of a layer's bank: discs so close blend without a visible ring."""


@dataclass(frozen=True)
class SceneLayer:
    """One sheet of a scene.

    Attributes:
        light: [H, W, 3], linear radiance, ≥ 0; above 1 for lights that the sensor clips.
        alpha: [H, W], coverage in [0, 1].
        disparity: [H, W] in [0, 1], 1 = nearest, defined where the layer is transparent too.
    """

    light: Array
    alpha: Array
    disparity: Array


@dataclass(frozen=True)
class SceneLens:
    """Focus and aperture, as in the design's optics.

    Attributes:
        focus: the disparity in focus, in [0, 1].
        aperture: in [0, 1].
        long_side: of the photo in pixels; a disparity difference of 1 at aperture 1 blurs by long_side / 40 px.
    """

    focus: float
    aperture: float
    long_side: float

    def radius(self, disparity: Array) -> Array:
        """Radius of the circle of confusion in pixels, ≥ 0, of `disparity`'s shape."""
        return np.abs(defocus(disparity, self.focus, self.aperture, self.long_side))

    def alone(self, picture: npt.NDArray[Any]) -> Lens:
        """The same lens for a picture [H, W, …] taken by itself: the pipeline knows no other long side than its own.

        The blur is aperture · long_side / 40 for a disparity difference of 1, so the aperture takes up the difference.
        """
        return Lens(self.focus, self.aperture * self.long_side / max(picture.shape[:2]))


def render(layers: Sequence[SceneLayer], lens: SceneLens) -> Array:
    """The scene through `lens`.

    The canvas wraps around at its borders: give layers with a margin of the largest radius and crop it off.

    Args:
        layers: back to front; the first covers everything.
        lens: what it is seen through.

    Returns:
        [H, W, 3] linear radiance, not clipped.
    """
    image: Array = np.zeros_like(layers[0].light)
    for layer in layers:
        light, alpha = blur_layer(layer, lens)
        image = light + (np.float32(1) - alpha[..., None]) * image
    return image


def blur_layer(layer: SceneLayer, lens: SceneLens) -> tuple[Array, Array]:
    """One layer through `lens`: light times coverage [H, W, 3], and coverage [H, W].

    Where the layer's radius varies, each pixel spreads by the two nearest radii of a bank, weighted by their closeness;
    dividing by what a uniform sheet would receive keeps uniform colour uniform.
    """
    planes = np.concatenate([layer.light * layer.alpha[..., None], layer.alpha[..., None]], axis=2)
    planes = np.ascontiguousarray(planes.transpose(2, 0, 1))
    radius = lens.radius(layer.disparity)
    smallest, largest = float(radius.min()), float(radius.max())
    if largest <= 0.5:
        blurred = planes
    elif largest - smallest < 0.25:  # a flat layer: the one disc differs from the true ones by less than its soft edge
        blurred = _spread(planes, [(np.float32((smallest + largest) / 2), None)])
    else:
        bank = _bank(radius, smallest, largest)
        sheet = np.concatenate([planes, np.ones_like(planes[:1])])
        blurred = _spread(sheet, bank)
        blurred = blurred[:4] / np.maximum(blurred[4:], 1e-3)
    return np.maximum(blurred[:3].transpose(1, 2, 0), 0), np.clip(blurred[3], 0, 1)


def _bank(radius: Array, smallest: float, largest: float) -> list[tuple[np.float32, Array | None]]:
    """Radii from smallest to largest, each with the share [H, W] of every pixel that spreads by it."""
    count = 2 + int((largest - smallest) / RADIUS_STEP)
    radii = np.linspace(smallest, largest, count, dtype=np.float32)
    step = radii[1] - radii[0]
    return [(r, np.clip(1 - np.abs(radius - r) / step, 0, 1)) for r in radii]


def _spread(planes: Array, bank: list[tuple[np.float32, Array | None]]) -> Array:
    """Sum over the bank of [C, H, W] planes' shares, each convolved with its disc."""
    height, width = planes.shape[1:]
    total = np.zeros((planes.shape[0], height, width // 2 + 1), np.complex64)
    for radius, share in bank:
        part = planes if share is None else planes * share
        total += spectrum(part) * disc_spectrum(float(radius), (height, width))
    return from_spectrum(total, (height, width))

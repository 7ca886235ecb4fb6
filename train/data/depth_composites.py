"""Scenes with a disparity that is exact up to the edge: subjects pasted over RGB-D photos, and drawn ones.

Depth cameras blur and fill the edges that a portrait needs most; a pasted subject has them crisp, by construction. Both
are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .depth import Folder, Scene

DRAWN_SIDE = 256


@dataclass(frozen=True)
class Composites:
    """A subject cut out of an image + mask folder, set nearly flat in front of a scene of an image + depth folder."""

    subjects: Folder
    backgrounds: Folder

    def scene(self, rng: np.random.Generator) -> Scene:
        """A composite of the background's size; where either part is unusable, the bare background."""
        background, cut = self.backgrounds.scene(rng), self.subjects.scene(rng)
        assert background.disparity is not None
        assert cut.subject is not None
        bounds = cut.subject.getbbox()
        if bounds is None:
            return background
        return paste(background, cut, bounds, rng)


def paste(background: Scene, cut: Scene, bounds: tuple[int, int, int, int], rng: np.random.Generator) -> Scene:
    """Set what lies within `bounds` of `cut` into the background: in reach of an arm or at some distance, whole or cut
    off by the frame's lower edge, always nearer than what it hides, its disparity a slightly slanted plane."""
    assert cut.subject is not None
    assert background.disparity is not None
    width, height = background.image.size
    scale = height * np.exp(rng.uniform(np.log(0.45), np.log(2.2))) / (bounds[3] - bounds[1])
    extent = (max(8, round((bounds[2] - bounds[0]) * scale)), max(8, round((bounds[3] - bounds[1]) * scale)))
    if extent[0] > 4 * width:
        return background
    photo = cut.image.crop(bounds).resize(extent, Image.Resampling.BILINEAR)
    # the masks are polygons that catch a rim of their old background: shrink by a pixel, then soften
    rim = cut.subject.crop(bounds).filter(ImageFilter.MinFilter(3)).resize(extent, Image.Resampling.BILINEAR)
    corner = (
        round(rng.uniform(0.15, 0.85) * width - extent[0] / 2),
        round(max(rng.uniform(0.02, 0.3) * height, height - extent[1] * rng.uniform(0.9, 1.3))),
    )
    coverage = Image.new("L", background.image.size)
    coverage.paste(rim.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.0)))), corner)
    pasted = background.image.copy()
    if rng.random() < 0.4:  # a portrait's background is often out of focus
        pasted = pasted.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 4))))
    front = Image.new("RGB", background.image.size)
    front.paste(_relight(photo, rng), corner)
    pasted.paste(front, mask=coverage)
    disparity = _stand(np.asarray(background.disparity), np.asarray(coverage) > 127, rng)
    return Scene(pasted, Image.fromarray(disparity), coverage)


def _stand(disparity: NDArray[np.float32], inside: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """The background's disparity with a near plane `inside`, brought back to a greatest value of 1."""
    if not inside.any() or not np.isfinite(disparity[inside]).any():
        return disparity
    hidden = np.nanquantile(disparity[inside], 0.95)
    level = max(float(hidden), 0.35) * np.exp(rng.uniform(np.log(1.15), np.log(3)))
    rows, columns = np.mgrid[-0.5 : 0.5 : disparity.shape[0] * 1j, -0.5 : 0.5 : disparity.shape[1] * 1j]
    slant = rng.normal(0, 0.04, 2)
    plane = level * (1 + slant[0] * rows + slant[1] * columns)
    joined = np.where(inside, np.fmax(plane, disparity), disparity)
    return (joined / np.nanmax(joined)).astype(np.float32)


def _relight(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The pasted picture under another exposure and tint."""
    gain = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.05, 3))
    return Image.fromarray(np.clip(np.asarray(photo, np.float32) * gain, 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Drawn:
    """Textured shapes before a textured, slanted background: no data needed, so a fresh clone can train on it."""

    side: int = DRAWN_SIDE
    shapes: int = 5

    def scene(self, rng: np.random.Generator) -> Scene:
        """A drawn scene; the nearest shape is its subject."""
        rows, columns = np.mgrid[0 : 1 : self.side * 1j, 0 : 1 : self.side * 1j].astype(np.float32)
        image = _texture(self.side, rng)
        disparity = 0.1 + 0.3 * rows * rng.random() + 0.1 * columns * rng.random()
        subject = np.zeros((self.side, self.side), np.float32)
        levels = np.sort(rng.uniform(0.3, 1, int(rng.integers(1, self.shapes + 1))))
        for level in levels:
            subject = _blob(rows, columns, rng)
            image = image + subject[..., None] * (_texture(self.side, rng) - image)
            disparity = np.where(subject > 0.5, np.maximum(level, disparity), disparity)
        disparity = (disparity / disparity.max()).astype(np.float32)
        coverage = Image.fromarray((subject * 255).astype(np.uint8))
        return Scene(Image.fromarray((image * 255).astype(np.uint8)), Image.fromarray(disparity), coverage)


def _texture(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Two colours mixed by smooth noise of a random scale: [side, side, 3] in [0,1]."""
    cells = int(rng.choice([2, 4, 8, 32, 64]))
    noise = Image.fromarray((rng.random((cells, cells)) * 255).astype(np.uint8))
    mixed = np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC), np.float32)[..., None] / 255
    low, high = rng.random(3).astype(np.float32), rng.random(3).astype(np.float32)
    return (low + (high - low) * mixed).astype(np.float32)


def _blob(rows: NDArray[np.float32], columns: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A round, wavy or straight-edged shape with edges one pixel soft: [side, side] in [0,1]."""
    y, x = rows - rng.uniform(0.2, 0.9), columns - rng.uniform(0.1, 0.9)
    radius = rng.uniform(0.08, 0.35)
    power = float(rng.choice([1.0, 2.0, 8.0]))  # diamond, ellipse, near rectangle
    distance = (np.abs(x) ** power + np.abs(y * rng.uniform(0.4, 1.5)) ** power) ** (1 / power)
    wave = 1 + rng.uniform(0, 0.25) * np.sin(np.arctan2(y, x) * int(rng.integers(2, 7)) + rng.uniform(0, 6))
    return np.clip((radius * wave - distance) * len(rows) + 0.5, 0, 1).astype(np.float32)

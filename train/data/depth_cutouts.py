"""Subjects to set into other pictures, and how one is set in: where it stands, what hides it, its shadow.

A canvas is a picture with its disparity. What is set in stands on the ground where the ground's disparity is its own,
so disparity runs on from feet to floor as it does in a photo. All of it is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .depth import Folder, Scene
from .mattes import random_matte
from .textures import random_texture

Array = NDArray[np.float32]
HIDES = 1.06  # how much nearer than a subject something is before it hides it: the ground at its feet must not


@dataclass(frozen=True)
class Cutout:
    """A subject without its background.

    Attributes:
        picture: RGB.
        coverage: mode L, of the same size.
        whole: it ends within its own photo, so it may stand on a ground; else the frame cut it off.
    """

    picture: Image.Image
    coverage: Image.Image
    whole: bool


class CutoutSource(Protocol):
    """Whatever has subjects to give."""

    def cutout(self, rng: np.random.Generator) -> Cutout:
        """One, drawn with `rng` alone."""
        ...


class MaskCutouts:
    """The subjects of image + mask folders."""

    def __init__(self, folders: Sequence[Folder]) -> None:
        found = (_cut(scene) for folder in folders for scene in folder.scenes)
        self.cutouts = [cutout for cutout in found if cutout is not None]

    def cutout(self, rng: np.random.Generator) -> Cutout:
        """One of them, perhaps mirrored, under another light."""
        chosen = self.cutouts[int(rng.integers(len(self.cutouts)))]
        gain = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.05, 3))
        picture = np.clip(np.asarray(chosen.picture, np.float32) * gain, 0, 255).astype(np.uint8)
        coverage = np.asarray(chosen.coverage)
        if rng.random() < 0.5:
            picture, coverage = picture[:, ::-1], coverage[:, ::-1]
        return Cutout(Image.fromarray(np.ascontiguousarray(picture)), Image.fromarray(coverage), chosen.whole)


class DrawnCutouts:
    """Textured shapes: round, ragged, thin, with holes. A fixed number is drawn once."""

    def __init__(self, count: int = 160, side: int = 160, seed: int = 0) -> None:
        self.cutouts: list[Cutout] = []
        for index in range(8 * count):
            rng = np.random.default_rng((seed, index))
            coverage = Image.fromarray((random_matte(rng, (side, side)) * 255).astype(np.uint8))
            bounds = Image.fromarray(np.asarray(coverage) > 127).getbbox()
            if bounds is None or min(bounds[2] - bounds[0], bounds[3] - bounds[1]) < side // 10:
                continue
            picture = Image.fromarray((random_texture(rng, (side, side)) * 255).astype(np.uint8))
            self.cutouts.append(Cutout(picture.crop(bounds), coverage.crop(bounds), whole=bounds[3] < side))
            if len(self.cutouts) == count:
                break

    def cutout(self, rng: np.random.Generator) -> Cutout:
        """One of them in the texture of another, for more kinds than were drawn."""
        shape, texture = (self.cutouts[int(i)] for i in rng.integers(len(self.cutouts), size=2))
        return Cutout(texture.picture.resize(shape.coverage.size), shape.coverage, shape.whole)


class AnyCutouts:
    """Several sources, each as likely as its weight."""

    def __init__(self, sources: Sequence[tuple[CutoutSource, float]]) -> None:
        self.sources = [source for source, _ in sources]
        weights = np.array([weight for _, weight in sources])
        self.weights = weights / weights.sum()

    def cutout(self, rng: np.random.Generator) -> Cutout:
        """From one of them."""
        return self.sources[rng.choice(len(self.sources), p=self.weights)].cutout(rng)


@dataclass
class Canvas:
    """A picture in the making.

    Attributes:
        picture: [H, W, 3] in [0, 255].
        disparity: [H, W], any scale, larger is nearer; NaN where unknown.
        subject: [H, W] in [0, 1]: what is visible of the largest subject so far.
    """

    picture: Array
    disparity: Array
    subject: Array

    @classmethod
    def of(cls, picture: Array, disparity: Array) -> Canvas:
        """Without a subject."""
        return cls(picture.astype(np.float32), disparity.astype(np.float32), np.zeros(disparity.shape, np.float32))

    def scene(self) -> Scene:
        """As a training scene: disparity brought to a greatest value of 1."""
        image = Image.fromarray(np.clip(self.picture, 0, 255).astype(np.uint8))
        disparity = Image.fromarray((self.disparity / np.nanmax(self.disparity)).astype(np.float32))
        if not self.subject.any():
            return Scene(image, disparity, exact=True)
        return Scene(image, disparity, Image.fromarray((self.subject * 255).astype(np.uint8)), exact=True)

    def soften(self, level: float, blur: float) -> None:
        """Put what lies well behind `level` out of focus, as portraits often have it."""
        image = Image.fromarray(np.clip(self.picture, 0, 255).astype(np.uint8))
        blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), np.float32)
        behind = np.clip(2.5 * (1 - np.nan_to_num(self.disparity, nan=level) / level) - 0.2, 0, 1)[..., None]
        self.picture += behind * (blurred - self.picture)

    def shade(self, foot: tuple[float, float], width: float, darkness: float) -> None:
        """A soft shadow [(x, y) of its middle] on the ground."""
        rows, columns = np.mgrid[: self.disparity.shape[0], : self.disparity.shape[1]].astype(np.float32)
        distance = ((columns - foot[0]) / width) ** 2 + ((rows - foot[1]) / (0.2 * width)) ** 2
        self.picture *= 1 - darkness * np.exp(-distance)[..., None]

    def set_in(
        self, cutout: Cutout, foot: tuple[float, float], height: float, plane: Array, rng: np.random.Generator
    ) -> None:
        """Set a subject in, `height` pixels tall, the middle of its lowest row at `foot` (x, y); not one so wide that
        little of it would be seen.

        Args:
            plane: [H, W], the disparity that the subject has at every pixel; what is nearer by `HIDES` hides it.
        """
        shape = self.disparity.shape
        width = cutout.picture.width * height / cutout.picture.height
        extent = max(4, round(width)), max(4, round(height))
        if max(extent) > 4 * max(shape):
            return
        corner = round(foot[0] - extent[0] / 2), round(foot[1] - extent[1])
        layer, coverage = Image.new("RGB", shape[::-1]), Image.new("L", shape[::-1])
        layer.paste(cutout.picture.resize(extent, Image.Resampling.BILINEAR), corner)
        coverage.paste(cutout.coverage.resize(extent, Image.Resampling.BILINEAR), corner)
        soft = coverage.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 0.8))))
        hidden = np.nan_to_num(self.disparity) > HIDES * plane
        alpha = np.where(hidden, 0, np.asarray(soft, np.float32) / 255)
        self.picture += alpha[..., None] * (np.asarray(layer, np.float32) - self.picture)
        self.disparity = np.where(alpha > 0.5, plane, self.disparity).astype(np.float32)
        self.subject = np.maximum(self.subject * (1 - alpha), 0)  # hidden by what was set in now
        if alpha.sum() > self.subject.sum():
            self.subject = alpha.astype(np.float32)


def stand(
    canvas: Canvas, cutout: Cutout, foot: tuple[float, float], level: float, height: float, rng: np.random.Generator
) -> None:
    """Set a whole subject in at `foot` (x, y), where the ground's disparity is `level`: `height` pixels tall, perhaps
    with a shadow, perhaps with what is behind it out of focus."""
    shape = canvas.disparity.shape
    if not cutout.whole or height < 0.08 * shape[0]:
        return
    if rng.random() < 0.25:
        canvas.soften(level, float(rng.uniform(0.5, 4)))
    if rng.random() < 0.6:
        breadth = 0.4 * height * cutout.picture.width / cutout.picture.height
        canvas.shade(foot, max(3.0, breadth), float(rng.uniform(0.1, 0.6)))
    canvas.set_in(cutout, foot, height, near_plane(shape, level, foot, rng), rng)


def come_close(canvas: Canvas, cutout: Cutout, level: float, rng: np.random.Generator) -> None:
    """Set a subject in that the lower frame cuts off, at the disparity `level`: as in a bust portrait."""
    height, width = canvas.disparity.shape
    top, x = float(rng.uniform(0.02, 0.45)) * height, float(rng.uniform(0.15, 0.85)) * width
    foot = x, max(top + float(np.exp(rng.uniform(np.log(0.6), np.log(1.6)))) * height, 1.02 * height)
    if rng.random() < 0.45:
        canvas.soften(level, float(rng.uniform(0.5, 4)))
    canvas.set_in(cutout, foot, foot[1] - top, near_plane((height, width), level, foot, rng), rng)


def near_plane(shape: tuple[int, int], level: float, foot: tuple[float, float], rng: np.random.Generator) -> Array:
    """[H, W]: a disparity of `level` at the point `foot` (x, y) and nearly everywhere: a standing subject's."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    lean = rng.normal(0, 0.03, 2)
    return level * (1 + lean[0] * (rows - foot[1]) / shape[0] + lean[1] * (columns - foot[0]) / shape[1])


def _cut(scene: Scene) -> Cutout | None:
    assert scene.subject is not None
    # masks catch a rim of their old background: shrink them by a pixel
    coverage = scene.subject.filter(ImageFilter.MinFilter(3))
    bounds = Image.fromarray(np.asarray(coverage) > 127).getbbox()
    if bounds is None or min(bounds[2] - bounds[0], bounds[3] - bounds[1]) < 12:
        return None
    return Cutout(scene.image.crop(bounds), coverage.crop(bounds), whole=bounds[3] < coverage.height - 4)

"""Scenes that are built from nothing but pictures: a ground, what stands on it, a wall or hedge behind, sky; and pages.

A ground plane seen by a level camera has a disparity that grows linearly with the rows below the horizon, and what
stands on it has the disparity of the row where it stands. All of it is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from .depth import Folder, Scene
from .depth_cutouts import Array, Canvas, CutoutSource, come_close, stand
from .textures import random_texture


class Pictures:
    """What surfaces are covered with: photos of folders, and textures of which a fixed number is drawn once."""

    def __init__(self, photos: Sequence[Folder] = (), drawn: int = 64, side: int = 256, seed: int = 0) -> None:
        rngs = (np.random.default_rng((seed, index)) for index in range(drawn))
        self.pictures = [(random_texture(rng, (side, side)) * 255).astype(np.uint8) for rng in rngs]
        self.photos = [scene.image for folder in photos for scene in folder.scenes]

    def picture(self, rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """One that fills `shape`, [H, W, 3]: a crop of a photo, if there are any, or of a texture."""
        if self.photos and rng.random() < 0.65:
            source = self.photos[int(rng.integers(len(self.photos)))]
        else:
            source = Image.fromarray(self.pictures[int(rng.integers(len(self.pictures)))])
        share = np.sqrt(rng.uniform(0.25, 1))
        width, height = share * source.width, share * source.height
        aspect = shape[1] / shape[0]
        width, height = min(width, height * aspect), min(height, width / aspect)
        x, y = rng.random() * (source.width - width), rng.random() * (source.height - height)
        size = shape[1], shape[0]
        return np.asarray(source.resize(size, Image.Resampling.BILINEAR, (x, y, x + width, y + height)))


@dataclass(frozen=True)
class Grounds:
    """One to four subjects on a ground before a backdrop.

    Attributes:
        side: longer side of the scenes, in pixels.
    """

    subjects: CutoutSource
    pictures: Pictures
    side: int

    def scene(self, rng: np.random.Generator) -> Scene:
        """A scene, upright, lying or square."""
        aspect = float(rng.choice([0.67, 0.75, 1.0, 1.33, 1.5]))
        height, width = round(self.side / max(1, aspect)), round(self.side * min(1, aspect))
        horizon = rng.uniform(0.05, 0.6) if rng.random() < 0.8 else rng.uniform(-1.0, 0.05)
        canvas, ground = self._place(horizon * height, (height, width), rng)
        tallness = float(rng.uniform(0.5, 1.6))  # of all subjects, in picture heights at a disparity of 1
        first = max(horizon + 0.15 * (1 - horizon), 0.25)
        rows = np.sort(rng.uniform(first, 1.02, int(rng.integers(1, 5)))) * height
        for row in rows:
            x = float(rng.uniform(0.05, 0.95)) * width
            level = float(ground[min(int(row), height - 1), int(x)])
            tall = level * tallness * float(rng.uniform(0.75, 1.3)) * height
            stand(canvas, self.subjects.cutout(rng), (x, float(row)), level, tall, rng)
        if rng.random() < 0.25:
            come_close(canvas, self.subjects.cutout(rng), float(rng.uniform(1.05, 2)), rng)
        return canvas.scene()

    def _place(self, horizon: float, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Canvas, Array]:
        """Ground, backdrop and sky; and the ground's disparity [H, W], 1 at the lower edge, with a slight roll."""
        height, width = shape
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        rolled = rows + np.float32(rng.normal(0, 0.03)) * (columns - width / 2)
        ground = np.clip((rolled - horizon) / (height - horizon), 0, None).astype(np.float32)
        below = rolled > horizon
        picture = np.where(below[..., None], self._floor(ground, columns, rng), self._sky(shape, rng))
        disparity = np.where(below, ground, 0)
        wall = horizon + (height - horizon) * rng.uniform(0.01, 0.4)
        if horizon < 0 or rng.random() < 0.75:
            behind = (rolled < wall) & (rolled > (wall - rng.uniform(0.2, 2) * height))
            level = np.float32(max(0, (wall - horizon) / (height - horizon)))
            picture = np.where(behind[..., None], self.pictures.picture(rng, shape), picture)
            disparity = np.where(behind, level, disparity)
        return Canvas.of(picture, disparity), ground

    def _floor(self, ground: Array, columns: Array, rng: np.random.Generator) -> Array:
        """A picture seen in perspective: as far away as the ground's disparity says."""
        texture = self.pictures.picture(rng, (256, 256)).astype(np.float32)
        near = np.maximum(ground, 0.02)
        across = (columns - columns.shape[1] / 2) / columns.shape[1] / near * rng.uniform(100, 400)
        along = rng.uniform(50, 300) / near
        folded = [np.abs((axis + 256) % 510 - 255) for axis in (along, across)]  # mirrored at its edges, endless
        sampled = [ndimage.map_coordinates(texture[..., c], folded, order=1, mode="nearest") for c in range(3)]
        haze = np.exp(-np.maximum(ground, 0) * 14)[..., None]  # what is finer than a pixel becomes its mean
        return np.stack(sampled, axis=-1) * (1 - haze) + texture.mean(axis=(0, 1)) * haze

    def _sky(self, shape: tuple[int, int], rng: np.random.Generator) -> Array:
        blue = np.array([90.0, 140.0, 220.0]) * rng.uniform(0.7, 1.1), np.array([230.0, 235.0, 245.0])
        above, under = blue if rng.random() < 0.6 else (rng.uniform(90, 255, 3), rng.uniform(150, 255, 3))
        share = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None, None]
        lumps = rng.normal(0, rng.uniform(0, 25), (6, 6))
        clouds = np.asarray(ndimage.zoom(lumps, (shape[0] / 6, shape[1] / 6), order=1))
        sky = above * (1 - share) + under * share + clouds[: shape[0], : shape[1], None]
        return np.clip(sky, 0, 255).astype(np.float32)


@dataclass(frozen=True)
class Pages:
    """Flat things that fill the picture: pages with writing, paintings and photos on a table or wall."""

    pictures: Pictures
    side: int

    def scene(self, rng: np.random.Generator) -> Scene:
        """A page over its support; both lie in one plane, slightly slanted at most."""
        aspect = float(rng.choice([0.67, 0.75, 1.0, 1.33, 1.5]))
        height, width = round(self.side / max(1, aspect)), round(self.side * min(1, aspect))
        image = Image.fromarray(self.pictures.picture(rng, (height, width)))
        if rng.random() < 0.5:
            image = Image.new("RGB", (width, height), tuple(int(v) for v in rng.integers(0, 256, 3)))
        wide, tall = int(width * rng.uniform(0.5, 0.95)), int(height * rng.uniform(0.5, 0.95))
        sheet = self._sheet((wide, tall), rng).rotate(float(rng.normal(0, 6)), expand=True, fillcolor=(0, 0, 0, 0))
        image.paste(sheet, ((width - sheet.width) // 2, (height - sheet.height) // 2), sheet)
        rows, columns = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
        slant = abs(rng.normal(0, 0.06)), rng.normal(0, 0.04)
        disparity = (1 + slant[0] * rows + slant[1] * columns).astype(np.float32)
        if rng.random() < 0.3:
            image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.2))))
        return Scene(image, Image.fromarray(disparity / disparity.max()), exact=True)

    def _sheet(self, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
        """Writing on paper, or a framed picture; RGBA."""
        if rng.random() < 0.5:
            paper = Image.new("RGBA", size, (*(int(v) for v in rng.integers(170, 256, 3)), 255))
            self._write(paper, rng)
            return paper
        rim = int(rng.integers(1, max(2, min(size) // 12)))
        framed = Image.new("RGBA", size, (*(int(v) for v in rng.integers(0, 256, 3)), 255))
        framed.paste(Image.fromarray(self.pictures.picture(rng, (size[1] - 2 * rim, size[0] - 2 * rim))), (rim, rim))
        return framed

    def _write(self, paper: Image.Image, rng: np.random.Generator) -> None:
        """Lines of words, some of them large, perhaps with a picture between."""
        brush, ink = ImageDraw.Draw(paper), tuple(int(v) for v in rng.integers(0, 110, 3))
        y, margin = paper.height * 0.05, paper.width * rng.uniform(0.04, 0.15)
        while y < paper.height * 0.95:
            size = float(np.exp(rng.uniform(np.log(8), np.log(40))))
            letters = "".join(
                chr(int(c)) for c in rng.choice([*range(97, 123), 32, 32, 32, 32], int(rng.integers(4, 60)))
            )
            brush.text((margin, y), letters, fill=ink, font_size=size)
            y += size * float(rng.uniform(1.1, 2))

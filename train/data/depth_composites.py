"""Composites over photos with depth: subjects that stand in a room, and pictures that hang on its walls.

Depth cameras blur and fill the edges that a portrait needs most; a subject that is set in has them crisp, by
construction. What is flat however deep it looks (posters, paintings, screens) is taught here, too. All of it is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .depth import Folder, Scene
from .depth_cutouts import Array, Canvas, CutoutSource, come_close, stand
from .depth_grounds import Pictures

TRIES = 12  # places looked at for a floor or a wall before the photo is used as it is


@dataclass(frozen=True)
class Composites:
    """Subjects in the scenes of an image + depth folder: on its floor, or close to the camera and cut by the frame."""

    subjects: CutoutSource
    backgrounds: Folder

    def scene(self, rng: np.random.Generator) -> Scene:
        """A composite of the background's size."""
        canvas = _canvas(self.backgrounds.scene(rng))
        height = canvas.disparity.shape[0]
        for level, foot in sorted(self._places(canvas.disparity, rng)):
            tall = min(level * float(rng.uniform(0.9, 2.0)) * height, 1.2 * foot[1])
            stand(canvas, self.subjects.cutout(rng), foot, level, tall, rng)
        if rng.random() < 0.5 or not canvas.subject.any():
            behind = float(np.nanquantile(canvas.disparity, 0.9))
            nearer = float(np.exp(rng.uniform(np.log(1.1), np.log(2.5))))
            come_close(canvas, self.subjects.cutout(rng), max(behind, 0.35) * nearer, rng)
        return canvas.scene()

    def _places(self, disparity: Array, rng: np.random.Generator) -> list[tuple[float, tuple[float, float]]]:
        """Up to two places on the floor: disparity there, and (x, y)."""
        found = []
        height, width = disparity.shape
        for _ in range(TRIES):
            foot = float(rng.uniform(0.1, 0.9) * width), float(rng.uniform(0.6, 0.98) * height)
            if is_floor(disparity, foot):
                found.append((float(disparity[int(foot[1]), int(foot[0])]), foot))
        return found[: int(rng.integers(1, 3))]


@dataclass(frozen=True)
class Posters:
    """Pictures hung on the walls of an image + depth folder's scenes: its disparity stays what it was."""

    pictures: Pictures
    backgrounds: Folder

    def scene(self, rng: np.random.Generator) -> Scene:
        """One picture on a wall; the photo as it is where no wall was found."""
        background = self.backgrounds.scene(rng)
        width, height = background.image.size
        disparity = np.asarray(background.disparity)
        for _ in range(TRIES):
            wide, tall = (int(side * rng.uniform(0.15, 0.5)) for side in (width, height))
            left, top = int(rng.integers(width - wide)), int(rng.integers(int(0.9 * height) - tall))
            if is_plane(disparity[top : top + tall, left : left + wide]):
                return Scene(self._hang(background.image, (left, top, wide, tall), rng), background.disparity)
        return background

    def _hang(self, photo: Image.Image, box: tuple[int, int, int, int], rng: np.random.Generator) -> Image.Image:
        left, top, wide, tall = box
        hung = photo.copy()
        rim = int(rng.integers(0, max(2, min(wide, tall) // 10)))
        frame = Image.new("RGB", (wide, tall), tuple(int(v) for v in rng.integers(0, 256, 3)))
        inner = max(1, wide - 2 * rim), max(1, tall - 2 * rim)
        frame.paste(Image.fromarray(self.pictures.picture(rng, (inner[1], inner[0]))), (rim, rim))
        hung.paste(frame, (left, top))
        return hung


def is_floor(disparity: Array, foot: tuple[float, float]) -> bool:
    """Whether the ground at (x, y) rises steadily towards the camera, as far as the disparity tells."""
    x, y = int(foot[0]), int(foot[1])
    reach = max(4, disparity.shape[0] // 20)
    window = disparity[max(0, y - reach) : y + 1, max(0, x - reach) : x + reach + 1]
    if window.shape[0] < reach or not np.isfinite(window).all():
        return False
    rows = window.mean(axis=1)
    steady = np.diff(rows) > -0.002 * rows[-1]
    across = np.abs(window - rows[:, None]).max() < 0.06 * rows[-1]
    return bool(rows[-1] > 1.03 * rows[0] and steady.all() and across)


def is_plane(disparity: NDArray[np.floating]) -> bool:
    """Whether [h, w] is flat: within 3 % of its mean everywhere, 0.5 % on average. Over a plane disparity is affine."""
    part = disparity[::4, ::4].astype(np.float64)
    if part.size < 16 or not np.isfinite(part).all():
        return False
    rows, columns = np.mgrid[: part.shape[0], : part.shape[1]]
    design = np.stack([rows.ravel(), columns.ravel(), np.ones(part.size)], axis=1)
    fitted = design @ np.linalg.lstsq(design, part.ravel(), rcond=None)[0]
    off = np.abs(part.ravel() - fitted) / part.mean()
    return bool(off.max() < 0.03 and off.mean() < 0.005)


def _canvas(scene: Scene) -> Canvas:
    assert scene.disparity is not None
    return Canvas.of(np.asarray(scene.image, np.float32), np.array(scene.disparity, np.float32))

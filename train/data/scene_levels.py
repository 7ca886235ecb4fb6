"""A scene as it is kept, and the levels at which the networks see it."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...runtime_ref.pipeline.optics import defocus, network_defocus
from ...runtime_ref.pipeline.pyramid import Pyramid, build_levels, disparity_at_level, first_level
from ..rendering.layered import SceneLens
from ..rendering.lens import Array
from .scenes import ComposedScene

Stored = npt.NDArray[np.unsignedinteger[Any]]
"""A plane as it is kept: its values times the type's largest, 8 bit for pictures, 16 for disparity."""


@dataclass(frozen=True)
class SceneLevels:
    """A scene at the levels that it is rendered at, lowest first.

    Attributes:
        images, truths: sharp and blurred, [H, W, 3] of 8 bit, sRGB-encoded.
        filled: disparity of the lowest level as the lens blur sees it, [H, W] of 16 bit.
        disparity: of every level as the upsampling sees it, [H, W] of 16 bit; the last is the map itself.
        lens: at full size.
        first: which of all levels is the lowest here; 1 where the blur is weak.
    """

    images: list[Stored]
    truths: list[Stored]
    filled: Stored
    disparity: list[Stored]
    lens: SceneLens
    first: int

    def defocus(self, level: int, disparity: Array) -> Array:
        """What the networks get: signed radius in pixels of the level / 8, clipped to [-1, 1]."""
        long_side = self.lens.long_side / 2 ** (len(self.images) - 1 - level)
        return network_defocus(defocus(disparity, self.lens.focus, self.lens.aperture, long_side))

    def turned(self, quarters: int, mirrored: bool, colours: int) -> SceneLevels:
        """Turned by 90° so often, then mirrored or not; the colours in their order or, with -1, against it.

        All planes are views.
        """

        def turn(plane: Stored) -> Stored:
            turned = np.rot90(plane, quarters)[:, :: -1 if mirrored else 1]
            return turned[..., ::colours] if plane.ndim == 3 else turned

        images, truths, disparity = ([turn(p) for p in planes] for planes in (self.images, self.truths, self.disparity))
        return replace(self, images=images, truths=truths, filled=turn(self.filled), disparity=disparity)


@dataclass(frozen=True)
class ScenePlanes:
    """A scene as it is kept.

    Attributes:
        images, truths: sharp and blurred at all levels, lowest first, [H, W, 3] of 8 bit, sRGB-encoded.
        disparity, corrupted: the true one and what a bad depth network gives, [H, W] of 16 bit, at full size.
        lens: at full size.
    """

    images: list[Stored]
    truths: list[Stored]
    disparity: Stored
    corrupted: Stored
    lens: SceneLens

    @classmethod
    def of(cls, scene: ComposedScene, levels: int) -> ScenePlanes:
        """A scene of so many levels above the lowest."""
        pyramid = Pyramid(*scene.disparity.shape, levels=levels)
        return cls(
            [_stored(plane, np.uint8) for plane in build_levels(scene.sharp, pyramid)],
            [_stored(plane, np.uint8) for plane in build_levels(scene.blurred, pyramid)],
            _stored(scene.disparity, np.uint16),
            _stored(scene.corrupted, np.uint16),
            scene.lens,
        )

    def seen(self, corrupted: bool = False) -> SceneLevels:
        """The levels of the runtime's rules; where they start is the same for both maps.

        At least one upsampling remains where there is one, or it would not learn.
        """
        pyramid, lens = Pyramid(*self.disparity.shape, levels=len(self.images) - 1), self.lens.alone(self.disparity)
        ends = np.array([end(plane) for plane in (self.disparity, self.corrupted) for end in (np.min, np.max)])
        first = first_level(pyramid, restored(ends), lens.focus, lens.aperture) if pyramid.levels > 1 else 0
        kept, chosen = pyramid.started_at(first), self.corrupted if corrupted else self.disparity
        values = restored(chosen)
        below = [_stored(disparity_at_level(values, kept, level), np.uint16) for level in range(kept.levels)]
        filled = _stored(disparity_at_level(values, kept, 0, filled=True), np.uint16)
        return SceneLevels(self.images[first:], self.truths[first:], filled, [*below, chosen], self.lens, first)

    def write(self, file: Path) -> None:
        """Under a temporary name first, since several workers may write."""
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}.partial")
        planes: dict[str, Any] = {"disparity": self.disparity, "corrupted": self.corrupted}
        for level, (image, truth) in enumerate(zip(self.images, self.truths, strict=True)):
            planes |= {f"image{level}": image, f"truth{level}": truth}
        lens = self.lens
        with partial.open("wb") as stream:
            np.savez(stream, lens=np.array([lens.focus, lens.aperture, lens.long_side]), **planes)
        partial.replace(file)

    @classmethod
    def read(cls, file: Path) -> ScenePlanes:
        """The inverse of `write`.

        Raises:
            FileNotFoundError: there is none.
            zipfile.BadZipFile: it is half-written.
            KeyError: it is of an older format.
        """
        with zipfile.ZipFile(file):  # a half-written file is told apart before numpy guesses what it may be
            pass
        with np.load(file) as stored:
            levels = sum(name.startswith("image") for name in stored.files)
            images, truths = ([stored[f"{name}{level}"] for level in range(levels)] for name in ("image", "truth"))
            lens = SceneLens(*(float(value) for value in stored["lens"]))
            return cls(images, truths, stored["disparity"], stored["corrupted"], lens)


def restored(plane: Stored) -> Array:
    """What a plane stands for, in [0, 1]."""
    return plane.astype(np.float32) * np.float32(1 / np.iinfo(plane.dtype).max)


def _stored(plane: Array, dtype: type[np.unsignedinteger[Any]]) -> Stored:
    return np.round(plane * np.iinfo(dtype).max).astype(dtype)

"""Scenes as training samples: rendered once into a store on disk, then drawn again and again as random windows."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from ...runtime_ref.optics import defocus, network_defocus
from ...runtime_ref.pyramid import halve
from ..rendering.layered import SceneLens, render
from ..rendering.lens import Array
from .scenes import Scene, SceneSettings, Truth, random_scene
from .sources import Sources

Stored = npt.NDArray[np.unsignedinteger[Any]]
"""A plane as it is kept: its values times the type's largest, 8 bit for pictures, 16 for disparity."""


@dataclass(frozen=True)
class SceneLevels:
    """A scene at every level, lowest first.

    Attributes:
        images, truths: sharp and blurred, [H, W, 3] of 8 bit, sRGB-encoded.
        disparities, corrupted: true disparity and what a bad depth network gives, [H, W] of 16 bit.
        lens: at full size.
    """

    images: list[Stored]
    truths: list[Stored]
    disparities: list[Stored]
    corrupted: list[Stored]
    lens: SceneLens

    def defocus(self, level: int, disparity: Array) -> Array:
        """What the networks get: signed radius in pixels of the level / 8, clipped to [-1, 1]."""
        long_side = self.lens.long_side / 2 ** (len(self.images) - 1 - level)
        return network_defocus(defocus(disparity, self.lens.focus, self.lens.aperture, long_side))


@dataclass(frozen=True)
class SceneStore:
    """Scenes by number, rendered when first asked for and kept as files.

    Attributes:
        folder: where they are kept; one folder a seed, settings and sources.
        seed: of all scenes; training and validation differ in it.
        settings, sources: of the scenes.
        truth: how their light reaches the sensor.
    """

    folder: Path
    seed: int
    settings: SceneSettings
    sources: Sources
    truth: Truth = render

    def __getitem__(self, number: int) -> SceneLevels:
        file = self.folder / f"{number:06d}.npz"
        try:
            return _read(file)
        except (FileNotFoundError, zipfile.BadZipFile, KeyError):  # none, half-written, or of an older format
            scene = random_scene((self.seed, number), self.settings, self.sources, self.truth)
            _write(file, levels_of(scene, self.settings.levels))
            return _read(file)


class TrainingWindows(Dataset[dict[str, Any]]):
    """Sample i: a scene of the store, flipped and turned, cut to one window at each level.

    Every `reuse`-th sample brings a new scene; the others draw from those rendered so far, so that rendering keeps
    pace with training. The settings' share of samples sees the corrupted disparity, at all levels alike. All is drawn
    from (seed, i).

    Attributes:
        store: the scenes.
        seed: of the choice of scenes and windows.
        halo: of the lens blur, in pixels of the lowest level.
        reuse: samples a rendered scene.
        core: side in pixels of the lowest level's window, without its halo.
        window: side of the low-resolution window at each upsampling, ≤ core.
    """

    FIRST = 48  # scenes before the first is reused

    def __init__(self, store: SceneStore, seed: int, halo: int, reuse: int, core: int = 96, window: int = 64) -> None:
        self.store, self.seed, self.halo, self.reuse = store, seed, halo, reuse
        self.core = min(core, store.settings.size // store.settings.unit)
        self.window = min(window, self.core)

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.seed, index))
        newest = index // self.reuse + self.FIRST
        number = newest if index % self.reuse == 0 else int(rng.integers(newest))
        scene = _turned(rng, self.store[number])
        if rng.random() < self.store.settings.corrupted:
            scene = replace(scene, disparities=scene.corrupted)
        return self._cut(rng, scene)

    def _cut(self, rng: np.random.Generator, scene: SceneLevels) -> dict[str, Any]:
        """Level 0 with its halo, then for each upsampling the window's place in the level below and its tensors."""
        corner = rng.integers(scene.images[0].shape[0] - self.core + 1, size=2)
        around = self.core + 2 * self.halo
        sample: dict[str, Any] = {
            "image": _window(_edged(scene.images[0], self.halo), corner, around),
            "defocus": _defocus(scene, 0, _edged(scene.disparities[0], self.halo), corner, around),
            "blurred": _window(scene.truths[0], corner, self.core),
            "steps": [],
        }
        side = self.core
        for low in range(self.store.settings.levels):
            offset = rng.integers(side - self.window + 1, size=2)
            corner, side = corner + offset, 2 * self.window
            step = {
                "offset": torch.from_numpy(offset),
                "image_low": _window(scene.images[low], corner, self.window),
                "defocus_low": _defocus(scene, low, scene.disparities[low], corner, self.window),
            }
            corner = 2 * corner
            step["image_high"] = _window(scene.images[low + 1], corner, side)
            step["blurred_high"] = _window(scene.truths[low + 1], corner, side)
            sample["steps"].append(step)
        return sample


class WholeScenes(Dataset[dict[str, list[torch.Tensor]]]):
    """Held-out scenes in full: lists of images, blurred images and defocus maps from the lowest level up.

    Attributes:
        store: the scenes; the first `count` are taken.
        corrupted: defocus from the corrupted disparity instead of the true one.
    """

    def __init__(self, store: SceneStore, count: int, corrupted: bool = False) -> None:
        self.store, self.count, self.corrupted = store, count, corrupted

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, list[torch.Tensor]]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        scene, corner = self.store[index], np.zeros(2, int)
        disparities = scene.corrupted if self.corrupted else scene.disparities
        return {
            "images": [_window(image, corner, len(image)) for image in scene.images],
            "truths": [_window(truth, corner, len(truth)) for truth in scene.truths],
            "defocus": [_defocus(scene, k, d, corner, len(d)) for k, d in enumerate(disparities)],
        }


def levels_of(scene: Scene, levels: int) -> SceneLevels:
    """All levels of a scene, as they are stored."""
    return SceneLevels(
        [_stored(plane, np.uint8) for plane in _pyramid(scene.sharp, levels)],
        [_stored(plane, np.uint8) for plane in _pyramid(scene.blurred, levels)],
        _nearest(_stored(scene.disparity, np.uint16), levels),
        _nearest(_stored(scene.corrupted, np.uint16), levels),
        scene.lens,
    )


def _pyramid(picture: Array, levels: int) -> list[Array]:
    """All levels, lowest first, by the rule of the runtime for pictures."""
    found = [picture]
    for _ in range(levels):
        height, width = found[0].shape[:2]
        found.insert(0, halve(found[0], (height // 2, width // 2)))
    return found


def _nearest(disparity: Stored, levels: int) -> list[Stored]:
    """All levels, lowest first, by the rule of the runtime for disparity."""
    found = [disparity]
    for _ in range(levels):
        rows = np.maximum(found[0][::2], found[0][1::2])
        found.insert(0, np.maximum(rows[:, ::2], rows[:, 1::2]))
    return found


def _stored(plane: Array, dtype: type[np.unsignedinteger[Any]]) -> Stored:
    return np.round(plane * np.iinfo(dtype).max).astype(dtype)


def _edged(plane: Stored, halo: int) -> Stored:
    return np.pad(plane, [(halo, halo), (halo, halo), (0, 0)][: plane.ndim], mode="edge")


def _values(plane: Stored, corner: np.ndarray, side: int) -> Array:
    """[side, side, C] in [0, 1]; only the window is converted."""
    y, x = int(corner[0]), int(corner[1])
    part = plane[y : y + side, x : x + side].astype(np.float32)
    return part.reshape(side, side, -1) * np.float32(1 / np.iinfo(plane.dtype).max)


def _window(plane: Stored, corner: np.ndarray, side: int) -> torch.Tensor:
    """[C, side, side] in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(_values(plane, corner, side).transpose(2, 0, 1)))


def _defocus(scene: SceneLevels, level: int, disparity: Stored, corner: np.ndarray, side: int) -> torch.Tensor:
    """[1, side, side] in [-1, 1]."""
    return torch.from_numpy(scene.defocus(level, _values(disparity, corner, side)).reshape(1, side, side))


def _turned(rng: np.random.Generator, scene: SceneLevels) -> SceneLevels:
    """One of the eight flips and quarter turns, red and blue swapped or not: all leave the optics as they are.

    The planes are views: nothing is copied before a window is cut.
    """
    quarter, mirror, colours = int(rng.integers(4)), bool(rng.integers(2)), int(rng.choice([1, -1]))

    def turn(plane: Stored) -> Stored:
        turned = np.rot90(plane, quarter)[:, :: -1 if mirror else 1]
        return turned[..., ::colours] if plane.ndim == 3 else turned

    return SceneLevels(
        [turn(image) for image in scene.images],
        [turn(truth) for truth in scene.truths],
        [turn(disparity) for disparity in scene.disparities],
        [turn(disparity) for disparity in scene.corrupted],
        scene.lens,
    )


def _write(file: Path, scene: SceneLevels) -> None:
    """Under a temporary name first, since several workers may write."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}.partial")
    planes: dict[str, Any] = {}
    for level in range(len(scene.images)):
        planes[f"image{level}"] = scene.images[level]
        planes[f"truth{level}"] = scene.truths[level]
    planes |= {"disparity": scene.disparities[-1], "corrupted": scene.corrupted[-1]}
    lens = scene.lens
    with partial.open("wb") as stream:
        np.savez(stream, lens=np.array([lens.focus, lens.aperture, lens.long_side]), **planes)
    partial.replace(file)


def _read(file: Path) -> SceneLevels:
    with zipfile.ZipFile(file):  # a half-written file is told apart before numpy guesses what it may be
        pass
    with np.load(file) as stored:
        levels = sum(name.startswith("image") for name in stored.files)
        images, truths = ([stored[f"{name}{level}"] for level in range(levels)] for name in ("image", "truth"))
        disparities, corrupted = (_nearest(stored[name], levels - 1) for name in ("disparity", "corrupted"))
        lens = SceneLens(*(float(value) for value in stored["lens"]))
        return SceneLevels(images, truths, disparities, corrupted, lens)

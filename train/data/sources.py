"""Folders of real pictures for synthetic scenes: photos, and photos with masks whose subjects can be cut out.

A file belongs to training or to the held-out part by its name alone, so a run and its validation never share one.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...runtime_ref.errors import DofkitError
from ..rendering.lens import Array
from .pictures import read_grey, read_rgb

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
HELD_OUT_SHARE = 10
"""One file in so many is held out."""


@dataclass(frozen=True)
class Sources:
    """Real pictures to compose scenes of; both lists may be empty, scenes are then fully procedural.

    Attributes:
        photos: image files.
        cutouts: (image, mask) file pairs; the mask is bright on the subject.
    """

    photos: tuple[Path, ...] = ()
    cutouts: tuple[tuple[Path, Path], ...] = ()


def find_sources(photos: Sequence[Path], masks: Sequence[Path], held_out: bool) -> Sources:
    """Look through the folders for one part of the split.

    Args:
        photos: folders searched for images, with all below them.
        masks: folders with `images/` and `masks/`, whose files pair by stem.
        held_out: the validation's files instead of the training's.

    Raises:
        DofkitError: when a folder holds nothing usable.
    """
    found = [file for folder in photos for file in image_files(folder)]
    pairs = [pair for folder in masks for pair in _pairs(folder)]
    return Sources(
        tuple(file for file in found if _is_held_out(file) == held_out),
        tuple(pair for pair in pairs if _is_held_out(pair[0]) == held_out),
    )


def image_files(folder: Path) -> list[Path]:
    """All images of a folder and below it, by name.

    Raises:
        DofkitError: when there are none.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise DofkitError(f"no photos in {folder}: give a folder with .jpg, .png or .webp files")
    return files


@lru_cache(maxsize=64)
def read_image(file: Path) -> Array:
    """[H, W, 3] sRGB-encoded in [0, 1], upright; raises as `pictures.opened` does."""
    return np.asarray(read_rgb(file), np.float32) * np.float32(1 / 255)


@lru_cache(maxsize=64)
def read_mask(file: Path) -> Array:
    """[H, W] in [0, 1]; raises as `pictures.opened` does."""
    mask = np.asarray(read_grey(file), np.float32)
    return (mask / max(float(mask.max()), 1.0)).astype(np.float32)


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    masks = {file.stem: file for file in (folder / "masks").glob("*") if file.suffix.lower() in SUFFIXES}
    images = sorted((folder / "images").glob("*"))
    pairs = [(image, masks[image.stem]) for image in images if image.stem in masks]
    if not pairs:
        raise DofkitError(f"no image and mask pairs in {folder}: it needs images/NAME.jpg beside masks/NAME.png")
    return pairs


def _is_held_out(file: Path) -> bool:
    return zlib.crc32(f"{file.parent.name}/{file.name}".encode()) % HELD_OUT_SHARE == 0

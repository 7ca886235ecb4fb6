"""Sets written as their publishers lay them out, small, with values that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

PHOTO = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
METRES = np.linspace(0.5, 3.0, 48, dtype=np.float64).reshape(6, 8)
HOLE = (2, 3)
"""A pixel without a reading."""


def write_photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PHOTO).save(path)


def write_grey(path: Path, values: np.ndarray) -> None:
    """8 or 16 bits, as the values are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def counted(per_metre: float, hole: int = 0) -> np.ndarray:
    """`METRES` as a sensor's 16-bit integers, with one hole."""
    values = np.rint(METRES * per_metre).astype(np.uint16)
    values[HOLE] = hole
    return values


def rotated(values: np.ndarray) -> np.ndarray:
    """As SUN RGB-D stores them: bit by bit three places to the left, the highest coming in from the right."""
    bits = (values[..., None] >> np.arange(16)) & 1
    return (np.roll(bits, 3, axis=-1) << np.arange(16)).sum(axis=-1).astype(np.uint16)


def kinect(folder: Path, photo: str, depth: str, values: np.ndarray) -> Path:
    write_photo(folder / photo)
    write_grey(folder / depth, values)
    return folder

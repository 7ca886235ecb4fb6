"""Picture files of image + depth sets, and how files of one pair find each other by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....runtime_ref.errors import DofkitError
from ....runtime_ref.imageio import eight_bits, read_photo
from ..pictures import opened, read_grey
from .pair import Array, Bytes

PHOTOS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".heic", ".heif", ".tif", ".tiff"})
MAPS = frozenset({".png", ".pgm", ".tif", ".tiff"})
"""Suffixes of lossless maps; 8-bit maps may be JPEG, too."""

Pairs = dict[str, tuple[Path, Path]]


def photo_pixels(path: Path) -> Bytes:
    """uint8 [H, W, 3], upright; raises `DofkitError` where the file cannot be read."""
    if path.suffix.lower() in (".ppm", ".pnm"):
        with opened(path) as image:
            return np.asarray(image.convert("RGB"))
    return eight_bits(read_photo(path).pixels)


def sixteen_bit_map(path: Path) -> NDArray[np.uint16]:
    """The values of a 16-bit grey picture, [h, w].

    Raises:
        DofkitError: it cannot be read or is not of 16 bits: an 8-bit map has lost its unit.
    """
    with opened(path) as image:
        mode, values = image.mode, np.asarray(image)
    if not mode.startswith("I") or values.ndim != 2 or values.min() < 0 or values.max() > 65535:
        raise DofkitError(f"{path} is not a 16-bit grey picture (its mode is {mode}); give the depth as recorded")
    return values.astype(np.uint16)


def eight_bit_map(path: Path) -> NDArray[np.uint8]:
    """The values of an 8-bit grey picture, [h, w]; a grey picture stored in colour is taken.

    Raises:
        DofkitError: it cannot be read, or is of 16 bits.
    """
    with opened(path) as image:
        if image.mode.startswith(("I", "F")):
            raise DofkitError(f"{path} has more than 8 bits a pixel, its set says 8; give the file as it was published")
    return np.asarray(read_grey(path))


def metres_of(values: NDArray[np.uint16], per_metre: float, unknown: tuple[int, ...] = (0,)) -> Array:
    """Depth in metres [h, w] of integers that count 1/`per_metre` of a metre; NaN where the value is an `unknown`."""
    metres = values.astype(np.float32) * np.float32(1 / per_metre)
    metres[np.isin(values, unknown)] = np.nan
    return metres


def subject_mask(path: Path) -> Array:
    """[h, w] in [0, 1]: the file's white is the subject.

    Raises:
        DofkitError: it cannot be read.
    """
    return (np.asarray(read_grey(path), np.float32) / np.float32(255)).astype(np.float32)


def namesakes(
    photos: Iterable[Path],
    maps: Iterable[Path],
    photo_key: Callable[[str], str | None] = str,
    map_key: Callable[[str], str | None] = str,
) -> Pairs:
    """Key -> (photo, map), of files whose stems have one key. A key of None leaves a file out."""
    second = {key: path for path in sorted(maps) if (key := map_key(path.stem)) is not None}
    first = {key: path for path in sorted(photos) if (key := photo_key(path.stem)) is not None}
    return {key: (first[key], second[key]) for key in sorted(first) if key in second}


def without_ending(ending: str) -> Callable[[str], str | None]:
    """A key: what stands before `ending`, None for a stem without it."""
    return lambda stem: stem.removesuffix(ending) if stem.endswith(ending) else None


def without_start(start: str) -> Callable[[str], str | None]:
    """A key: what stands after `start`, None for a stem without it."""
    return lambda stem: stem.removeprefix(start) if stem.startswith(start) else None


def files_in(folder: Path, suffixes: frozenset[str] = PHOTOS) -> list[Path]:
    """The files of a folder, itself only, with such a suffix; [] where there is no folder. Hidden ones are left out."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith(".")
    )


def subfolder(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of the folders with one of these names."""
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def text_lines(path: Path) -> list[str]:
    """The lines of a text file that are neither empty nor comments (#).

    Raises:
        DofkitError: it is no text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DofkitError(f"{path} cannot be read as text ({type(error).__name__}); copy it again") from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def settings_of(path: Path) -> Mapping[str, str]:
    """The `name=value` lines of a text file; raises as `text_lines` does."""
    pairs = (line.partition("=") for line in text_lines(path))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}

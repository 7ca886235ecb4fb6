"""Photos with the phone's own depth: embedded (Apple, GDepth, Dynamic Depth), and pairs of a lens-blur app."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ....runtime_ref.errors import DofkitError
from ....runtime_ref.imageio import embedded_disparity
from .pair import Content, DepthMap, DepthMeaning, SetEntry, SetFormat
from .reading import PHOTOS, eight_bit_map, files_in, namesakes, photo_pixels, without_ending

PORTRAITS = frozenset({".jpg", ".jpeg", ".heic", ".heif"})


def _embedded(path: Path) -> list[SetEntry]:
    """A photo itself, or the photos of a folder that hold a map; photos without one are no pairs."""
    photos = [photo for photo in ([path] if path.is_file() else files_in(path)) if photo.suffix.lower() in PORTRAITS]
    return [SetEntry(photo.stem, (photo,), partial(_embedded_pair, photo)) for photo in photos if _has_map(photo)]


def _has_map(photo: Path) -> bool:
    try:
        return embedded_disparity(photo) is not None
    except DofkitError:
        return True  # damaged: reading the pair says so in one line


def _embedded_pair(photo: Path) -> Content:
    disparity = embedded_disparity(photo)
    if disparity is None:
        raise DofkitError(f"{photo} holds no depth map any more; copy it again from the phone")
    return Content(photo_pixels(photo), DepthMap(disparity, DepthMeaning.AFFINE))


def _lens_blur(folder: Path) -> list[SetEntry]:
    files = files_in(folder, PHOTOS) if folder.is_dir() else []
    pairs = namesakes(files, files, without_ending("-image"), without_ending("-depth"))
    return [SetEntry(name, both, partial(_lens_blur_pair, *both)) for name, both in pairs.items()]


def _lens_blur_pair(image: Path, depth: Path) -> Content:
    """The app stores GDepth's RangeInverse: 0 is the near end, linear in disparity."""
    disparity = 1 - eight_bit_map(depth).astype(np.float32) / np.float32(255)
    return Content(photo_pixels(image), DepthMap(disparity.astype(np.float32), DepthMeaning.AFFINE))


FORMATS = (
    SetFormat(
        "lens_blur",
        "Lens Blur: *-image + *-depth",
        "black is nearest, linear in disparity",
        _lens_blur,
    ),
    SetFormat(
        "phone",
        "phone portraits with embedded depth (HEIC, JPEG)",
        "as the file says, turned into disparity up to scale and shift",
        _embedded,
    ),
)

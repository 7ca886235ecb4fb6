"""Middlebury stereo: scenes of 2014 and 2021 (PFM and calib.txt), and those of 2001 to 2006 (8-bit disparity)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ....runtime_ref.errors import DofkitError
from .pair import Array, Content, DepthMap, DepthMeaning, SetEntry, SetFormat
from .pfm import read_pfm
from .reading import eight_bit_map, photo_pixels, settings_of

_OLDER = (("view1.png", "disp1.png"), ("im2.png", "disp2.png"), ("im2.ppm", "disp2.pgm"), ("im2.png", "disp2.pgm"))


@dataclass(frozen=True)
class StereoCalibration:
    """What turns a disparity in pixels into depth: Z = baseline · focal / (d + offset).

    Attributes:
        focal: of the left camera, in pixels.
        baseline: in millimetres.
        offset: `doffs`, the difference of the principal points' columns, in pixels.
        width, height: of the picture.
    """

    focal: float
    baseline: float
    offset: float
    width: int
    height: int

    @classmethod
    def read(cls, path: Path) -> StereoCalibration:
        """From a `calib.txt`.

        Raises:
            DofkitError: a value is missing or senseless.
        """
        settings = settings_of(path)

        def number(name: str) -> float:
            try:
                value = float(settings[name])
            except (KeyError, ValueError):
                value = math.nan
            if not math.isfinite(value):
                raise DofkitError(f"{path} has no number for {name}; copy it again")
            return value

        focal = _first_number(settings.get("cam0", ""))
        baseline, width, height = number("baseline"), number("width"), number("height")
        if focal is None or focal <= 0 or baseline <= 0 or width < 1 or height < 1:
            raise DofkitError(f"{path} has no camera matrix, baseline or size above 0; copy it again")
        return cls(focal, baseline, number("doffs"), int(width), int(height))

    def inverse_metres(self, disparity: Array) -> Array:
        """1/m of disparities in pixels [h, w], NaN where they are not finite (how the sets mark the unknown)."""
        inverse = (disparity + np.float32(self.offset)) * np.float32(1000 / (self.baseline * self.focal))
        return np.where(np.isfinite(disparity) & (inverse > 0), inverse, np.float32(np.nan)).astype(np.float32)


def _first_number(matrix: str) -> float | None:
    found = re.match(r"\s*\[\s*([-+.\deE]+)", matrix)
    try:
        return float(found[1]) if found else None
    except ValueError:
        return None


def _calibrated(folder: Path) -> list[SetEntry]:
    image, disparity, calibration = folder / "im0.png", folder / "disp0.pfm", folder / "calib.txt"
    if not all(file.is_file() for file in (image, disparity, calibration)):
        return []
    load = partial(_calibrated_pair, image, disparity, calibration)
    return [SetEntry(folder.name, (image, disparity, calibration), load)]


def _calibrated_pair(image: Path, disparity: Path, calibration: Path) -> Content:
    camera, stored = StereoCalibration.read(calibration), read_pfm(disparity)
    if stored.shape != (camera.height, camera.width):
        size = f"{stored.shape[1]}×{stored.shape[0]}"
        raise DofkitError(f"{disparity} has {size} values, {calibration.name} says {camera.width}×{camera.height}")
    return Content(photo_pixels(image), DepthMap(camera.inverse_metres(stored), DepthMeaning.INVERSE_METRES))


def _older(folder: Path) -> list[SetEntry]:
    found = next((pair for pair in _OLDER if all((folder / name).is_file() for name in pair)), None)
    if found is None:
        return []
    image, disparity = (folder / name for name in found)
    return [SetEntry(folder.name, (image, disparity), partial(_older_pair, image, disparity))]


def _older_pair(image: Path, disparity: Path) -> Content:
    stored = eight_bit_map(disparity).astype(np.float32)
    # Up to a shift: most pairs were cropped, and by how much is written for some of their sizes only.
    return Content(photo_pixels(image), DepthMap(np.where(stored > 0, stored, np.float32(np.nan)), DepthMeaning.AFFINE))


FORMATS = (
    SetFormat(
        "middlebury",
        "Middlebury 2014, 2021: im0.png + disp0.pfm + calib.txt",
        "1/m by the calibration, infinite where unknown",
        _calibrated,
        whole_scenes=True,
    ),
    SetFormat(
        "middlebury8",
        "Middlebury 2001–2006: view1 + disp1, or im2 + disp2",
        "disparity up to scale and shift, 0 unknown",
        _older,
        whole_scenes=True,
    ),
)

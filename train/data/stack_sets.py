"""Sets of focal stacks as they were published: DefocusNet and FoD500, with depth, and Mobile-Depth, without.

DefocusNet (Maximov et al. 2020; FoD500 has its layout): `000000_01All.tif` to `000000_05All.tif` of a sample and its
depth in metres, `000000Dpt.exr`, all in one folder. Mobile-Depth (Suwajanakorn et al. 2015): a folder of aligned slices
`a01.jpg` … for each scene, and where it was calibrated `SCENE/calibrated.txt`, distances up to scale.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...runtime_ref.errors import DofkitError, first_line, require
from ..rendering.defocus import ThinLensCamera
from ..rendering.focus_sweep import FocusSweep
from .real_stacks import read_stack
from .relative_sweep import likeliest_strength, relative_sweep
from .rgbd.reading import text_lines

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]

SENSOR = 3.1e-3
"""Metres of DefocusNet's sensor across its pictures: what other readers of the set take."""
DEFOCUSNET_FOCUS = (0.1, 0.15, 0.3, 0.7, 1.5)
NEAREST, FARTHEST = 0.08, 3.0
"""Metres; what is farther counts as that, as in the set's own evaluation."""
HELD_OUT = 5
"""One stack in so many is held out: the last ones, as the set's own split does (400 of 500 train)."""
MULTIPLE = 16
CALIBRATIONS = {"metals": "metal", "largemotion": "GTLarge", "smallmotion": "GTSmall", "zeromotion": "GT"}
"""Scenes of Mobile-Depth whose calibration has another name."""

_SLICE = re.compile(r"(\d+)_(\d+)All\.tif", re.IGNORECASE)
_ALIGNED = re.compile(r"a\d+\.jpe?g", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class RecordedStack:
    """A stack that nobody here rendered.

    Attributes:
        name: of it.
        stack: uint8 [S, H, W, 3], sides multiples of 16.
        sweep: at this size.
        metres: float32 [H, W], NaN where unknown; None where nothing is known.
    """

    name: str
    stack: Bytes
    sweep: FocusSweep
    metres: Array | None


@dataclass(frozen=True)
class StackFiles:
    """Where a stack lies, not yet read.

    Attributes:
        name: unique in its set.
        slices: in the order of focus.
        depth: an EXR file; None: nothing is known of its depth.
        calibration: of Mobile-Depth's, where there is one.
    """

    name: str
    slices: tuple[Path, ...]
    depth: Path | None = None
    calibration: Path | None = None

    def read(self, side: int) -> RecordedStack:
        """The stack, its longer side at most `side` pixels.

        Raises:
            DofkitError: a file is damaged or does not fit the others.
        """
        slices = read_stack(self.slices)
        scale = min(1.0, side / max(slices[0].size))
        width, height = (max(MULTIPLE, round(scale * one)) for one in slices[0].size)
        stack = _cut(np.stack([np.asarray(one.resize((width, height), Image.Resampling.BICUBIC)) for one in slices]))
        if self.depth is None:
            return RecordedStack(self.name, stack, self._relative(stack), None)
        metres = exr_depth(self.depth)
        if metres.shape != slices[0].size[::-1]:
            raise DofkitError(f"{self.depth} has {metres.shape[1]}×{metres.shape[0]} pixels, its slices have others")
        metres = np.array(Image.fromarray(metres).resize((width, height), Image.Resampling.NEAREST))
        return RecordedStack(self.name, stack, self._defocusnet(width), _cut(metres[None])[0])

    def _defocusnet(self, width: int) -> FocusSweep:
        if len(self.slices) != len(DEFOCUSNET_FOCUS):
            raise DofkitError(
                f"{self.slices[0]}: the sample has {len(self.slices)} slices, DefocusNet's have "
                f"{len(DEFOCUSNET_FOCUS)}, focused at {', '.join(map(str, DEFOCUSNET_FOCUS))} m; copy it again"
            )
        return FocusSweep(ThinLensCamera(2.9e-3, 1.0, SENSOR / width), DEFOCUSNET_FOCUS, NEAREST, FARTHEST)

    def _relative(self, stack: Bytes) -> FocusSweep:
        places = np.linspace(0, 1, len(stack)).tolist()
        if self.calibration is not None:
            places = _places(self.calibration, len(stack))
        return relative_sweep(places, likeliest_strength(stack, places))


def find_stacks(folder: Path) -> list[StackFiles]:
    """The stacks of a folder and all below it, sorted; [] where it has none of these layouts."""
    if not folder.is_dir():
        return []
    return [*_defocusnets(folder), *_mobiles(folder)]


def split_stacks(found: Sequence[StackFiles]) -> tuple[list[StackFiles], list[StackFiles]]:
    """(training, held out): the last fifth of those with depth; without depth nothing can be judged."""
    known = [one for one in found if one.depth is not None]
    first = len(known) - len(known) // HELD_OUT
    return [*known[:first], *(one for one in found if one.depth is None)], known[first:]


def exr_depth(path: Path) -> Array:
    """Depth in metres [h, w] of an EXR file's first channel, in half or single precision; NaN where there is none.

    Raises:
        MissingExtraError: OpenEXR is not installed.
        DofkitError: it cannot be read.
    """
    library = require("OpenEXR", "exr", "reading depth of EXR files")
    try:
        with library.File(str(path), separate_channels=True) as file:
            channels = {name: np.array(channel.pixels) for name, channel in file.channels().items()}
    except Exception as error:  # RuntimeError and others, with the library's words
        raise DofkitError(f"{path} cannot be read as OpenEXR ({first_line(error)}); copy it again") from error
    name = next((one for one in ("R", "Z", "Y", "V") if one in channels), None)
    if name is None:
        raise DofkitError(f"{path} has the channels {', '.join(sorted(channels))}; depth is looked for in R, Z, Y or V")
    values = channels[name].astype(np.float32)
    return np.where(np.isfinite(values) & (values > 0), np.minimum(values, FARTHEST), np.nan).astype(np.float32)


def _defocusnets(folder: Path) -> list[StackFiles]:
    samples: dict[tuple[Path, str], list[tuple[str, Path]]] = {}
    for path in sorted(folder.rglob("*")):
        if (match := _SLICE.fullmatch(path.name)) is not None:
            samples.setdefault((path.parent, match[1]), []).append((match[2], path))
    found = []
    for (parent, number), slices in samples.items():
        depth = parent / f"{number}Dpt.exr"
        if not depth.is_file():
            raise DofkitError(f"{slices[0][1]}: its depth, {depth.name}, is missing; copy the set again")
        name = str((parent / number).relative_to(folder))
        found.append(StackFiles(name, tuple(path for _, path in sorted(slices)), depth))
    return found


def _mobiles(folder: Path) -> list[StackFiles]:
    calibrations = {path.parent.name: path for path in folder.rglob("calibrated.txt")}
    scenes: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("a*")):
        if _ALIGNED.fullmatch(path.name):
            scenes.setdefault(path.parent, []).append(path)
    return [
        StackFiles(
            str(parent.relative_to(folder)),
            tuple(paths),
            calibration=calibrations.get(CALIBRATIONS.get(parent.name, parent.name)),
        )
        for parent, paths in scenes.items()
        if len(paths) > 1
    ]


def _places(path: Path, count: int) -> list[float]:
    """Where the slices are focused, 0 the nearest and 1 the farthest in 1 / distance, of a `calibrated.txt`: a line of
    distance and aperture for each slice, the focal length last, all up to scale.

    Raises:
        DofkitError: it is no such file.
    """
    *lines, _ = text_lines(path) or [""]
    try:
        inverse = 1 / np.array([float(line.split()[0]) for line in lines])
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise DofkitError(f"{path}: a line for each slice says distance and aperture; copy the set again") from error
    if len(inverse) != count or not np.isfinite(inverse).all() or np.ptp(inverse) == 0:
        raise DofkitError(f"{path} speaks of {len(inverse)} slices, each of a focus, there are {count}; copy it again")
    return ((inverse.max() - inverse) / np.ptp(inverse)).tolist()


def _cut(maps: NDArray) -> NDArray:
    """The middle part of [S, H, W, …] whose sides are multiples of 16."""
    height, width = (side // MULTIPLE * MULTIPLE for side in maps.shape[1:3])
    top, left = ((side - kept) // 2 for side, kept in zip(maps.shape[1:3], (height, width), strict=True))
    return np.ascontiguousarray(maps[:, top : top + height, left : left + width])

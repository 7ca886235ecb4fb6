"""16-bit depth of Kinect-like cameras, each set in the layout and the unit in which it was published."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....runtime_ref.errors import DofkitError
from .pair import Array, Content, DepthMap, DepthMeaning, SetEntry, SetFormat
from .reading import (
    MAPS,
    Pairs,
    files_in,
    metres_of,
    namesakes,
    photo_pixels,
    sixteen_bit_map,
    text_lines,
    without_ending,
    without_start,
)

MILLIMETRES, TUM_UNITS, KITTI_UNITS = 1000.0, 5000.0, 256.0
"""Of the stored integers, how many are a metre."""
TUM_APART = 0.02
"""Seconds that a photo and its depth may lie apart, as in TUM's own association tool."""


def millimetres(path: Path) -> Array:
    """Metres [h, w] of a 16-bit file in millimetres, 0 unknown."""
    return metres_of(sixteen_bit_map(path), MILLIMETRES)


def seven_scenes(path: Path) -> Array:
    """Metres [h, w] of a 7-Scenes depth file: millimetres, 65535 unknown (Shotton et al. 2013), 0 as well."""
    return metres_of(sixteen_bit_map(path), MILLIMETRES, unknown=(0, 65535))


def tum_units(path: Path) -> Array:
    """Metres [h, w] of a TUM RGB-D depth file: 5000 a metre, 0 unknown (Sturm et al. 2012)."""
    return metres_of(sixteen_bit_map(path), TUM_UNITS)


def kitti_units(path: Path) -> Array:
    """Metres [h, w] of a KITTI depth file: 256 a metre, 0 where no LiDAR point fell (Uhrig et al. 2017)."""
    return metres_of(sixteen_bit_map(path), KITTI_UNITS)


def sun_rotated(path: Path) -> Array:
    """Metres [h, w] of a SUN RGB-D depth file (Song et al. 2015), 0 unknown."""
    return metres_of(unrotated(sixteen_bit_map(path)), MILLIMETRES)


def unrotated(stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Millimetres of SUN RGB-D's values, which are rotated left by three bits."""
    return ((stored >> 3) | (stored << 13)).astype(np.uint16)


def entries_of(pairs: Pairs, metres: Callable[[Path], Array]) -> list[SetEntry]:
    """Pairs whose second file `metres` reads."""
    return [SetEntry(name, files, partial(_metric_pair, *files, metres)) for name, files in pairs.items()]


def _metric_pair(image: Path, depth: Path, metres: Callable[[Path], Array]) -> Content:
    return Content(photo_pixels(image), DepthMap(metres(depth), DepthMeaning.METRES))


def _nyu(folder: Path) -> list[SetEntry]:
    files = files_in(folder)
    pairs = namesakes(files, files_in(folder, MAPS), without_start("rgb_"), without_start("sync_depth_"))
    return entries_of(pairs, millimetres)


def _seven_scenes(folder: Path) -> list[SetEntry]:
    files = files_in(folder, frozenset({".png", ".jpg"}))
    return entries_of(namesakes(files, files, without_ending(".color"), without_ending(".depth")), seven_scenes)


def _sun(folder: Path) -> list[SetEntry]:
    if not (folder / "intrinsics.txt").is_file():
        return []
    photos, maps = files_in(folder / "image"), files_in(folder / "depth", MAPS)
    if len(photos) != 1 or len(maps) != 1:  # names of the two differ between its cameras
        return []
    return entries_of({photos[0].stem: (photos[0], maps[0])}, sun_rotated)


def _tum(folder: Path) -> list[SetEntry]:
    tables = [folder / "rgb.txt", folder / "depth.txt"]
    if not all(table.is_file() for table in tables):
        return []
    (photo_times, photos), (depth_times, maps) = (_timed(table) for table in tables)
    partners = associated(photo_times, depth_times, TUM_APART)
    pairs = {f"{photo_times[i]:.6f}": (photos[i], maps[j]) for i, j in partners}
    return entries_of(pairs, tum_units)


def _timed(table: Path) -> tuple[list[float], list[Path]]:
    """Seconds and files of a TUM table, sorted by time."""
    found = []
    for line in text_lines(table):
        time, _, name = line.partition(" ")
        try:
            found.append((float(time), table.parent / name.strip()))
        except ValueError:
            raise DofkitError(f"{table}: {line[:40]!r} is no time and file name; copy the table again") from None
    found.sort()
    return [time for time, _ in found], [path for _, path in found]


def associated(first: list[float], second: list[float], apart: float) -> list[tuple[int, int]]:
    """Indices of the nearest partners of two sorted lists of times, each used once, nearest partners first.

    Args:
        first, second: ascending, in seconds.
        apart: partners lie less than this apart.
    """
    near = []
    for i, time in enumerate(first):
        start, end = bisect.bisect_right(second, time - apart), bisect.bisect_left(second, time + apart)
        near += [(abs(second[j] - time), i, j) for j in range(start, end)]
    taken: set[int] = set()
    partners: dict[int, int] = {}
    for _, i, j in sorted(near):
        if i not in partners and j not in taken:
            partners[i] = j
            taken.add(j)
    return sorted(partners.items())


def _diml(folder: Path) -> list[SetEntry]:
    rooms = namesakes(
        files_in(folder / "color"),
        files_in(folder / "depth_filled", MAPS),
        without_ending("_c"),
        without_ending("_depth_filled"),
    )
    outdoors = namesakes(
        files_in(folder / "outleft"),
        files_in(folder / "depthmap", MAPS),
        _bare("_outleft"),
        _bare("_depthmap"),
    )
    return entries_of(rooms or outdoors, millimetres)


def _bare(ending: str) -> Callable[[str], str]:
    return lambda stem: stem.removesuffix(ending)


def _redwood(folder: Path) -> list[SetEntry]:
    pairs = namesakes(files_in(folder / "color"), files_in(folder / "depth", MAPS), _frame_number, _frame_number)
    return entries_of(pairs, millimetres)


def _frame_number(stem: str) -> str:
    """Redwood's own files carry a time after the number, which differs between the two cameras."""
    return stem.partition("-")[0]


def _kitti(folder: Path) -> list[SetEntry]:
    return entries_of(_kitti_drive(folder) or _kitti_selection(folder), kitti_units)


def _kitti_drive(folder: Path) -> Pairs:
    """One drive of the depth benchmark with the raw photos of the same drive beside its `proj_depth`."""
    pairs: Pairs = {}
    for camera in ("image_02", "image_03"):
        maps = files_in(folder / "proj_depth" / "groundtruth" / camera, MAPS)
        found = namesakes(files_in(folder / camera / "data"), maps)
        pairs |= {f"{camera}/{name}": files for name, files in found.items()}
    return pairs


def _kitti_selection(folder: Path) -> Pairs:
    """`depth_selection/val_selection_cropped`: image/ and groundtruth_depth/ with the kind inside the names."""
    photos, maps = files_in(folder / "image"), files_in(folder / "groundtruth_depth", MAPS)
    return namesakes(photos, maps, str, lambda stem: stem.replace("_groundtruth_depth_", "_image_"))


FORMATS = (
    SetFormat(
        "nyu", "NYU Depth v2, raw: rgb_*.jpg + sync_depth_*.png", "millimetres, 0 unknown", _nyu, whole_scenes=True
    ),
    SetFormat(
        "7scenes",
        "7-Scenes: frame-*.color.png + frame-*.depth.png",
        "millimetres, 0 and 65535 unknown",
        _seven_scenes,
        whole_scenes=True,
    ),
    SetFormat(
        "sun",
        "SUN RGB-D: image/ + depth/ + intrinsics.txt",
        "millimetres rotated by 3 bits, 0 unknown",
        _sun,
        whole_scenes=True,
    ),
    SetFormat("tum", "TUM RGB-D: rgb.txt + depth.txt", "1/5000 metre, 0 unknown", _tum, whole_scenes=True),
    SetFormat(
        "diml",
        "DIML: color/*_c + depth_filled/*_depth_filled, or outleft/ + depthmap/",
        "millimetres, 0 unknown",
        _diml,
        whole_scenes=True,
    ),
    SetFormat(
        "kitti",
        "KITTI: proj_depth/groundtruth/ beside image_02/data/, or image/ + groundtruth_depth/",
        "1/256 metre, 0 where no LiDAR point fell",
        _kitti,
        whole_scenes=True,
    ),
    # last of the sensors: the only one without a name of its own in the layout
    SetFormat("redwood", "Redwood, Open3D: color/ + depth/ of 16 bits", "millimetres, 0 unknown", _redwood, True),
)

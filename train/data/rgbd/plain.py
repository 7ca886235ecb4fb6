"""Plain folders: a table that declares every file, 8-bit depth with scales, disparity, and masks."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ....runtime_ref.errors import DofkitError
from ....runtime_ref.files import read_file
from ..pictures import opened
from .pair import Array, Content, DepthMap, DepthMeaning, SetEntry, SetFormat
from .reading import (
    MAPS,
    eight_bit_map,
    files_in,
    namesakes,
    photo_pixels,
    sixteen_bit_map,
    subfolder,
    subject_mask,
)

IMAGES = ("images", "rgb")
TABLE, SCALES = "index.csv", "scale.csv"
COLUMNS = ("name", "image", "depth", "kind", "scale", "offset")
KINDS = ("disparity8", "depth16")
TABLE_FORMAT, MASK_FORMAT = "table", "masks"
"""Names of the formats that trainings tell apart."""


def _tabled(folder: Path) -> list[SetEntry]:
    if not (folder / TABLE).is_file():
        return []
    entries = []
    for number, row in enumerate(_rows(folder / TABLE, COLUMNS), start=2):
        where = f"{folder / TABLE}, line {number}"
        if row["kind"] not in KINDS:
            raise DofkitError(f"{where}: the kind is {row['kind']!r}; write {' or '.join(KINDS)}")
        scale, offset = (_number(row[name], f"{where}: {name}") for name in ("scale", "offset"))
        if scale == 0 or (row["kind"] == "depth16" and (scale < 0 or offset != 0)):
            raise DofkitError(f"{where}: scale {scale:g} and offset {offset:g} fit no {row['kind']}; mend the line")
        image, depth = (_inside(folder, row[name], where) for name in ("image", "depth"))
        load = partial(_tabled_pair, image, depth, row["kind"], scale, offset)
        entries.append(SetEntry(row["name"], (image, depth), load))
    return entries


def _tabled_pair(image: Path, depth: Path, kind: str, scale: float, offset: float) -> Content:
    photo = photo_pixels(image)
    if kind == "disparity8":
        # White is near even where the scale is negative: it then leads back to values of a source whose black is near.
        values = np.float32(offset) + np.float32(abs(scale)) * eight_bit_map(depth).astype(np.float32)
        return Content(photo, DepthMap(values, DepthMeaning.AFFINE))
    stored = sixteen_bit_map(depth)
    return Content(photo, DepthMap(np.where(stored > 0, stored * np.float32(scale), np.nan), DepthMeaning.METRES))


def _scaled(folder: Path) -> list[SetEntry]:
    images = subfolder(folder, IMAGES)
    if images is None or not (folder / SCALES).is_file() or not (folder / "depth").is_dir():
        return []
    scales = depth_scales(folder / SCALES)
    pairs = namesakes(files_in(images), files_in(folder / "depth", MAPS))
    entries = []
    for name, files in pairs.items():
        if not name.isdigit() or int(name) not in scales:
            raise DofkitError(f"{folder / SCALES} has no line for {name}; add its greatest depth in metres")
        entries.append(SetEntry(name, files, partial(_scaled_pair, *files, scales[int(name)])))
    return entries


def _scaled_pair(image: Path, depth: Path, greatest: float) -> Content:
    metres = greatest * (eight_bit_map(depth).astype(np.float32) + np.float32(0.5)) / np.float32(255)
    return Content(photo_pixels(image), DepthMap(metres.astype(np.float32), DepthMeaning.METRES))


def depth_scales(path: Path) -> dict[int, float]:
    """index -> greatest depth in metres, of a `scale.csv`.

    Raises:
        DofkitError: it is no such table.
    """
    found: dict[int, float] = {}
    for number, row in enumerate(_rows(path, ("index", "depth_max_m")), start=2):
        where = f"{path}, line {number}"
        greatest = _number(row["depth_max_m"], f"{where}: depth_max_m")
        if greatest <= 0 or not row["index"].isdigit():
            raise DofkitError(f"{where}: wants a whole index and a depth above 0, not {row['index']}, {greatest:g}")
        found[int(row["index"])] = greatest
    return found


def _disparities(folder: Path) -> list[SetEntry]:
    return _with_images(folder, "disparity", _disparity_pair)


def _with_images(folder: Path, maps: str, read: Callable[[Path, Path], Content]) -> list[SetEntry]:
    """Images with their namesakes in the folder `maps` beside them; none where one of the two folders is missing."""
    images = subfolder(folder, IMAGES)
    if images is None or not (folder / maps).is_dir():
        return []
    pairs = namesakes(files_in(images), files_in(folder / maps))
    return [SetEntry(name, files, partial(read, *files)) for name, files in pairs.items()]


def _disparity_pair(image: Path, disparity: Path) -> Content:
    return Content(photo_pixels(image), DepthMap(grey_disparity(disparity), DepthMeaning.AFFINE))


def grey_disparity(path: Path) -> Array:
    """[h, w] in [0, 1], white is nearest; in 16-bit files 0 is unknown.

    Raises:
        DofkitError: it cannot be read or is in colour.
    """
    with opened(path) as image:
        mode = image.mode
    if mode.startswith("I"):
        stored = sixteen_bit_map(path).astype(np.float32)
        return np.where(stored > 0, stored / np.float32(65535), np.float32(np.nan)).astype(np.float32)
    return (eight_bit_map(path) / np.float32(255)).astype(np.float32)


def _masked(folder: Path) -> list[SetEntry]:
    return _with_images(folder, "masks", _masked_pair)


def _masked_pair(image: Path, mask: Path) -> Content:
    return Content(photo_pixels(image), mask=subject_mask(mask))


def _rows(path: Path, columns: tuple[str, ...]) -> Sequence[Mapping[str, str]]:
    """The lines of a table with at least these columns."""
    try:
        table = csv.DictReader(io.StringIO(read_file(path).decode("utf-8-sig"), newline=""))
        rows = list(table)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DofkitError(f"{path} is no table ({type(error).__name__}); write comma-separated text") from error
    missing = [name for name in columns if name not in (table.fieldnames or [])]
    if missing:
        raise DofkitError(f"{path} lacks the column {missing[0]}; its first line is to name {', '.join(columns)}")
    for number, row in enumerate(rows, start=2):
        if any(row[name] is None for name in columns):
            raise DofkitError(f"{path}, line {number}: has fewer values than columns; mend the line")
    return rows


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DofkitError(f"{where} is {text!r}, not a number; mend the line")
    return value


def _inside(folder: Path, text: str, where: str) -> Path:
    """A file that the table names, which must lie in the table's folder."""
    path = Path(text)
    if not text or path.is_absolute() or ".." in path.parts:
        raise DofkitError(f"{where}: {text!r} does not lie in the folder of the table; name files in it")
    return folder / path


FORMATS = (
    SetFormat(
        TABLE_FORMAT, f"a table {TABLE} of image and depth files", "as the table says: disparity8 or depth16", _tabled
    ),
    SetFormat(
        "scaled8",
        f"rgb/ + 8-bit depth/ + {SCALES} (index, depth_max_m)",
        "depth_max_m · (v + 0.5) / 255 metres",
        _scaled,
    ),
    SetFormat("disparity", "images/ or rgb/ + disparity/", "white is nearest; 0 unknown in 16 bits", _disparities),
    SetFormat(MASK_FORMAT, "images/ or rgb/ + masks/", "no depth; the mask is white on the subject", _masked),
)

"""Portable float maps (PFM): one value a pixel, rows from the bottom up, the sign of the scale is the byte order."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from ....runtime_ref.errors import DofkitError
from ....runtime_ref.files import read_file
from .pair import Array

_HEADER = re.compile(rb"(P[Ff])\s+(\d{1,9})\s+(\d{1,9})\s+(\S{1,32})[ \t]*\r?\n?")


def read_pfm(path: Path) -> Array:
    """The map of a PFM file, see `parse_pfm`.

    Raises:
        DofkitError: it cannot be read or is none.
    """
    try:
        return parse_pfm(read_file(path))
    except ValueError as error:
        raise DofkitError(f"{path} is no PFM map ({error}); copy it again from where it came") from error


def parse_pfm(data: bytes) -> Array:
    """float32 [h, w], the first row at the top; infinities as they are stored.

    Raises:
        ValueError: the bytes are no grey PFM, or cut short.
    """
    header = _HEADER.match(data)
    if header is None:
        raise ValueError("it does not begin with Pf, a width, a height and a scale")
    kind, width, height = header[1], int(header[2]), int(header[3])
    if kind == b"PF":
        raise ValueError("it is in colour")
    scale = _scale(header[4])
    order = "<f4" if scale < 0 else ">f4"
    count = width * height
    if count == 0 or len(data) - header.end() < 4 * count:
        raise ValueError(f"{width}×{height} values are named, {max(0, len(data) - header.end()) // 4} are there")
    values = np.frombuffer(data, order, count, header.end()).reshape(height, width)
    return np.ascontiguousarray(values[::-1], np.float32)


def format_pfm(values: Array) -> bytes:
    """A grey PFM of [h, w], little-endian: the inverse of `parse_pfm`."""
    height, width = values.shape
    return f"Pf\n{width} {height}\n-1.0\n".encode() + np.ascontiguousarray(values[::-1], "<f4").tobytes()


def _scale(text: bytes) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not math.isfinite(scale) or scale == 0:
        raise ValueError("its scale is no number other than 0")
    return scale

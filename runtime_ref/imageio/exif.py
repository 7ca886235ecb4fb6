"""The EXIF block of a photo: its orientation, and the few values that change when pixels are turned and re-encoded.

The block is patched in place instead of being parsed and written anew: everything else in it (maker notes with
offsets of their own, GPS, dates) stays byte for byte what the camera wrote.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HEADER = b"Exif\0\0"

_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_WIDTH_TAGS = (0x0100, 0xA002)  # ImageWidth, PixelXDimension
_HEIGHT_TAGS = (0x0101, 0xA003)  # ImageLength, PixelYDimension
_JPEG_THUMBNAIL = (0x0201, 0x0202)  # JPEGInterchangeFormat: offset, length
_RAW_THUMBNAIL = (0x0111, 0x0117)  # StripOffsets, StripByteCounts
_SHORT, _LONG = 3, 4


def oriented(stored: NDArray, orientation: int) -> NDArray:
    """Turn stored pixels the way the EXIF orientation says they are to be seen.

    Args:
        stored: `[H, W]` or `[H, W, C]` as they lie in the file.
        orientation: 1 to 8 (EXIF 2.32, tag 0x0112); anything else counts as 1.

    Returns:
        A contiguous array, `[W, H]` or `[W, H, C]` for orientations 5 to 8.
    """
    if orientation in (5, 6, 7, 8):
        stored = stored.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    return np.ascontiguousarray(stored)


def orientation_of(exif: bytes | None) -> int:
    """The orientation, 1 to 8, that an EXIF block declares; 1 where it declares none or is damaged."""
    try:
        tiff = _Tiff.parse(exif or b"")
        for entry in tiff.entries(tiff.first_ifd()):
            if entry.tag == _ORIENTATION:
                value = tiff.value(entry)
                return value if 1 <= value <= 8 else 1
    except (struct.error, ValueError):
        pass
    return 1


def exif_for(exif: bytes | None, width: int, height: int) -> bytes | None:
    """The block as it holds for upright pixels of a new size, re-encoded.

    The orientation becomes 1, pixel dimensions become `width` and `height` where they are given, and the thumbnail
    goes: it would show the photo as it was before.

    Returns:
        The block with its `Exif\\0\\0` header; None where there was none, or where it is damaged, since what a damaged
        block says can neither be trusted nor corrected.
    """
    if not exif:
        return None
    try:
        tiff = _Tiff.parse(exif)
        first = tiff.first_ifd()
        _correct(tiff, first, width, height)
        for entry in list(tiff.entries(first)):
            if entry.tag == _EXIF_IFD:
                _correct(tiff, tiff.value(entry), width, height)
        _drop_thumbnail(tiff, first)
    except (struct.error, ValueError):
        return None
    return HEADER + bytes(tiff.data)


@dataclass(frozen=True)
class _Entry:
    tag: int
    kind: int
    count: int
    position: int  # of the 12 bytes of the entry


@dataclass
class _Tiff:
    """A TIFF block that is read and patched; all offsets count from its start."""

    data: bytearray
    order: str  # of struct: "<" or ">"

    @classmethod
    def parse(cls, exif: bytes) -> _Tiff:
        data = bytearray(exif.removeprefix(HEADER))
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
        if order is None:
            raise ValueError("no TIFF header")
        return cls(data, order)

    def read(self, code: str, position: int) -> int:
        return struct.unpack_from(self.order + code, self.data, position)[0]

    def first_ifd(self) -> int:
        return self.read("I", 4)

    def entries(self, ifd: int) -> Iterator[_Entry]:
        for index in range(self.read("H", ifd)):
            position = ifd + 2 + 12 * index
            tag, kind, count = struct.unpack_from(self.order + "HHI", self.data, position)
            yield _Entry(tag, kind, count, position)

    def next_pointer(self, ifd: int) -> int:
        """Where the offset of the directory after this one is stored."""
        return ifd + 2 + 12 * self.read("H", ifd)

    def value(self, entry: _Entry) -> int:
        """The (first) integer of a SHORT or LONG entry that is stored in the entry itself."""
        return self.read("H" if entry.kind == _SHORT else "I", entry.position + 8)

    def set_short(self, entry: _Entry, value: int) -> None:
        struct.pack_into(self.order + "HIHH", self.data, entry.position + 2, _SHORT, 1, value, 0)

    def set_long(self, entry: _Entry, value: int) -> None:
        struct.pack_into(self.order + "HII", self.data, entry.position + 2, _LONG, 1, value)


def _correct(tiff: _Tiff, ifd: int, width: int, height: int) -> None:
    for entry in list(tiff.entries(ifd)):
        if entry.tag == _ORIENTATION:
            tiff.set_short(entry, 1)
        elif entry.tag in _WIDTH_TAGS:
            tiff.set_long(entry, width)
        elif entry.tag in _HEIGHT_TAGS:
            tiff.set_long(entry, height)


def _drop_thumbnail(tiff: _Tiff, first_ifd: int) -> None:
    """Unlink the directory of the thumbnail and wipe its picture, or cut it off where it ends the block."""
    pointer = tiff.next_pointer(first_ifd)
    if pointer + 4 > len(tiff.data):  # some writers leave the pointer out when nothing follows
        return
    values = _inline_values(tiff, tiff.read("I", pointer))
    tiff.data[pointer : pointer + 4] = bytes(4)
    for offset_tag, length_tag in (_JPEG_THUMBNAIL, _RAW_THUMBNAIL):
        start = values.get(offset_tag, 0)
        end = min(start + values.get(length_tag, 0), len(tiff.data))
        if not 8 <= start < end:
            continue
        tiff.data[start:end] = bytes(end - start)
        if not any(tiff.data[end:]):  # nothing but padding follows
            del tiff.data[start:]


def _inline_values(tiff: _Tiff, ifd: int) -> dict[int, int]:
    """Tag to value of a directory's single numbers; none where there is no directory or its offset is garbage."""
    try:
        return {entry.tag: tiff.value(entry) for entry in tiff.entries(ifd) if entry.count == 1} if ifd else {}
    except struct.error:
        return {}

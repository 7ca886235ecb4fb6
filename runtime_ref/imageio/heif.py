"""Whether a HEIF file (HEIC, AVIF) is there as a whole: its boxes and the extents of its items. Nothing is decoded.

Decoders fill in the tiles that a cut file lacks with green and say nothing. Where each item's data lie is written in
the file (ISO/IEC 14496-12: boxes 4.2, `iloc` 8.11.3), so a cut is found without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_FULL_BOX = 4  # version and flags, bytes
# Codecs whose items are NAL units, each with its length before it (ISO/IEC 14496-15).
_NAL_UNITS = (b"hvc1",)
_IN_FILE, _IN_IDAT = 0, 1  # construction methods of `iloc`


@dataclass(frozen=True)
class _Box:
    kind: bytes
    start: int  # of its content
    end: int


@dataclass(frozen=True)
class _Item:
    number: int
    method: int
    extents: tuple[tuple[int, int], ...]  # (offset, length)


def heif_damage(data: bytes) -> str | None:
    """What is wrong with the structure of a HEIF file, in a few words; None where all of it is there.

    Boxes have to end where the file does, every item's bytes have to lie inside the file, and a picture coded in HEVC
    has to consist of whole NAL units. Damage inside of one that keeps its header is not seen.
    """
    try:
        boxes = list(_boxes(data, 0, len(data)))
        meta = next((box for box in boxes if box.kind == b"meta"), None)
        if meta is None:
            return "it has no index of its pictures"
        inside = {box.kind: box for box in _boxes(data, meta.start + _FULL_BOX, meta.end)}
        kinds = _item_kinds(data, inside[b"iinf"])
        idat = inside.get(b"idat")
        for item in _items(data, inside[b"iloc"]):
            problem = _item_damage(data, item, kinds.get(item.number, b""), idat)
            if problem:
                return problem
    except (KeyError, IndexError, ValueError) as error:
        return str(error) if isinstance(error, _Cut) else "its index of pictures is damaged"
    return None


class _Cut(ValueError):
    """A box that goes beyond what holds it."""


def _boxes(data: bytes, position: int, end: int) -> Iterator[_Box]:
    while position < end:
        if end - position < 8:
            raise _Cut("it ends inside a box")
        size, kind, header = _number(data, position, 4), data[position + 4 : position + 8], 8
        if size == 1:
            size, header = _number(data, position + 8, 8), 16
        size = size or end - position  # 0: up to the end
        if size < header or position + size > end:
            name = kind.decode("ascii", "replace")
            raise _Cut(f"the box {name} says {size} bytes, {end - position} are there")
        yield _Box(kind, position + header, position + size)
        position += size


def _number(data: bytes, position: int, size: int) -> int:
    if position + size > len(data):
        raise IndexError(position)
    return int.from_bytes(data[position : position + size], "big")


class _Reader:
    """Numbers one after another, inside one box."""

    def __init__(self, data: bytes, box: _Box) -> None:
        self._data = data[box.start : box.end]
        self._position = 0

    def take(self, size: int) -> int:
        self._position += size
        return _number(self._data, self._position - size, size)


def _item_kinds(data: bytes, box: _Box) -> dict[int, bytes]:
    """Item number to its four-letter type, from `iinf` (8.11.6)."""
    version = data[box.start]
    first = box.start + _FULL_BOX + (2 if version == 0 else 4)
    kinds = {}
    for entry in _boxes(data, first, box.end):
        wide = 4 if data[entry.start] >= 3 else 2
        number = _number(data, entry.start + _FULL_BOX, wide)
        kinds[number] = data[entry.start + _FULL_BOX + wide + 2 :][:4]
    return kinds


def _items(data: bytes, box: _Box) -> Iterator[_Item]:
    reader = _Reader(data, box)
    version = reader.take(1)
    reader.take(3)
    sizes, more = reader.take(1), reader.take(1)
    offset_size, length_size, base_size = sizes >> 4, sizes & 15, more >> 4
    index_size = more & 15 if version in (1, 2) else 0
    for _ in range(reader.take(4 if version == 2 else 2)):
        number = reader.take(4 if version == 2 else 2)
        method = reader.take(2) & 15 if version in (1, 2) else _IN_FILE
        reader.take(2)  # data_reference_index
        base = reader.take(base_size)
        extents = []
        for _ in range(reader.take(2)):
            reader.take(index_size)
            offset = base + reader.take(offset_size)
            extents.append((offset, reader.take(length_size)))
        yield _Item(number, method, tuple(extents))


def _item_damage(data: bytes, item: _Item, kind: bytes, idat: _Box | None) -> str | None:
    if item.method not in (_IN_FILE, _IN_IDAT) or (item.method == _IN_IDAT and idat is None):
        return None  # items made of other items: those are checked themselves
    start, end = (idat.start, idat.end) if item.method == _IN_IDAT and idat else (0, len(data))
    coded = b""
    for offset, length in item.extents:
        if start + offset + length > end or (not length and len(item.extents) > 1):
            return f"a part of {length} bytes lies beyond its end"
        coded += data[start + offset : start + offset + length] if kind in _NAL_UNITS else b""
    return "a coded part of the picture is damaged" if coded and not _whole_nal_units(coded) else None


def _whole_nal_units(coded: bytes) -> bool:
    """Whether bytes are NAL units of HEVC, each after its length in 4 bytes (as all phones write it)."""
    position = 0
    while position < len(coded):
        length = int.from_bytes(coded[position : position + 4], "big")
        if length < 2 or position + 4 + length > len(coded):
            return False
        forbidden_zero, temporal_id = coded[position + 4] & 0x80, coded[position + 5] & 7  # ITU-T H.265, 7.3.1.2
        if forbidden_zero or not temporal_id:
            return False
        position += 4 + length
    return True

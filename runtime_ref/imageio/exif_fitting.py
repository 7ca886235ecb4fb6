"""An EXIF block made to fit into a JPEG segment: written anew without what is largest and matters least."""

from __future__ import annotations

import struct

from .exif import HEADER

# Bytes of one value of each type (TIFF 6.0, section 2; 13 as in its first supplement).
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_MAKER_NOTE = 0x927C
_FOLDERS = {0x8769: "Exif", 0x8825: "GPS", 0xA005: "interoperability"}
_NAMES = {_MAKER_NOTE: "the maker note", 0x9286: "the user comment", 0x02BC: "a copy of the XMP", 0xEA1C: "padding"}

_Folder = dict[int, "tuple[int, int, bytes] | _Folder"]  # tag to (type, count, bytes), or the folder it points at


def exif_within(exif: bytes, longest: int) -> tuple[bytes | None, tuple[str, ...]]:
    """The block with as much as fits: first the maker note goes, then the largest values until it does.

    Args:
        exif: a block with its header.
        longest: bytes that there is room for.

    Returns:
        The block, and what was left out, in words; (None, …) where it is damaged.
    """
    if len(exif) <= longest:
        return exif, ()
    try:
        body = exif.removeprefix(HEADER)
        order = {b"II": "<", b"MM": ">"}[body[:2]]
        root = _read(body, order, struct.unpack_from(order + "I", body, 4)[0], depth=0)
    except (struct.error, KeyError, ValueError):
        return None, ("all of it, since it is damaged",)
    dropped: list[str] = []
    while True:
        block = HEADER + _written(root, order)
        if len(block) <= longest:
            return block, tuple(dropped)
        folder, tag = max(_values(root), key=lambda place: (place[1] == _MAKER_NOTE, _length(place[0][place[1]])))
        dropped.append(f"{_NAMES.get(tag, f'the value 0x{tag:04X}')} ({_length(folder[tag]) / 1000:.0f} kB)")
        del folder[tag]


def _read(body: bytes, order: str, start: int, depth: int) -> _Folder:
    folder: _Folder = {}
    for index in range(struct.unpack_from(order + "H", body, start)[0]):
        tag, kind, count = struct.unpack_from(order + "HHI", body, start + 2 + 12 * index)
        if kind not in _SIZES:
            continue
        position, length = start + 10 + 12 * index, count * _SIZES[kind]
        if tag in _FOLDERS and depth < 2:
            folder[tag] = _read(body, order, struct.unpack_from(order + "I", body, position)[0], depth + 1)
            continue
        if length > 4:
            position = struct.unpack_from(order + "I", body, position)[0]
        if position + length > len(body):
            raise ValueError("a value lies outside of the block")
        folder[tag] = kind, count, body[position : position + length]
    return folder


def _values(folder: _Folder) -> list[tuple[_Folder, int]]:
    """Every value, as the folder that it is in and its tag."""
    places = []
    for tag, value in folder.items():
        places += _values(value) if isinstance(value, dict) else [(folder, tag)]
    return places


def _length(value: tuple[int, int, bytes] | _Folder) -> int:
    return 0 if isinstance(value, dict) else len(value[2])


def _written(root: _Folder, order: str) -> bytes:
    body = bytearray((b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8))
    _append(body, root, order)
    return bytes(body)


def _append(body: bytearray, folder: _Folder, order: str) -> int:
    """Write a folder, its values and the folders below at the end of the block; returns where it begins."""
    start = len(body)
    body += struct.pack(order + "H", len(folder)) + bytes(12 * len(folder) + 4)
    for index, (tag, value) in enumerate(sorted(folder.items())):
        if isinstance(value, dict):
            kind, count, stored = 4, 1, struct.pack(order + "I", _append(body, value, order))
        else:
            kind, count, stored = value
            if len(stored) > 4:
                position = len(body)
                body += stored + bytes(len(stored) % 2)
                stored = struct.pack(order + "I", position)
        entry = struct.pack(order + "HHI", tag, kind, count) + stored.ljust(4, b"\0")
        body[start + 2 + 12 * index : start + 14 + 12 * index] = entry
    return start

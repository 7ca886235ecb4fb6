"""MLIR's bytecode, as far as it tells whether a file is whole: Apple's reader ends the process over one that is cut.

A file is the bytes "MLïR", a version, the producer's name, and sections, each with its length (MLIR's documentation
of its bytecode format).
"""

from __future__ import annotations

from pathlib import Path

from ..errors import DofkitError

_MAGIC = b"ML\xefR"
_ALIGNED = 0x80  # of a section's first byte: an alignment follows its length


def refuse_cut(data: bytes, path: Path) -> None:
    """Refuse a program whose sections do not end where the file ends.

    Args:
        data: all bytes of a bytecode file.
        path: for the error.

    Raises:
        DofkitError: it is no bytecode, or cut short, or something follows it.
    """
    if not data.startswith(_MAGIC):
        raise DofkitError(f"{path} is no MLIR bytecode; copy or export the model again")
    try:
        end = _end_of_sections(data)
    except (IndexError, ValueError):
        end = -1
    if end != len(data):
        raise DofkitError(f"{path} is cut short or damaged; copy or export the model again")


def _end_of_sections(data: bytes) -> int:
    _, place = _number(data, len(_MAGIC))  # the version
    place = data.index(0, place) + 1  # the producer
    while place < len(data):
        kind = data[place]
        length, place = _number(data, place + 1)
        if kind & _ALIGNED:
            alignment, place = _number(data, place)
            place = -(-place // max(alignment, 1)) * max(alignment, 1)
        place += length
    return place


def _number(data: bytes, place: int) -> tuple[int, int]:
    """A number of variable length, and where it ends: the zeros below the lowest one count the bytes that follow."""
    first = data[place]
    more = 8 if first == 0 else (first & -first).bit_length() - 1
    if place + more >= len(data):
        raise IndexError(place)
    if first == 0:
        return int.from_bytes(data[place + 1 : place + 9], "little"), place + 9
    return int.from_bytes(data[place : place + more + 1], "little") >> (more + 1), place + more + 1

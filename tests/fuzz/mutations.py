"""How a sound file is damaged: bytes anywhere, or the numbers and parts that its format is built of.

Every function takes a random generator and gives new bytes; the same generator state gives the same damage.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

Random = np.random.Generator
Mutation = Callable[[bytes, Random], bytes]
Item = TypeVar("Item")

# Numbers that formats stumble over: nothing, signs, powers of two and what is just beyond, a size no memory holds.
_NUMBERS = (0, 1, 2, 3, 7, 8, 64, 127, 128, 255, 256, 32767, 65535, 65536, 10**6, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
# Most files get one change: the more there are, the sooner a reader gives up, and the less of it is tried.
_CHANGES = (1, 1, 1, 1, 2, 3)


def one_of(items: Sequence[Item], rng: Random) -> Item:
    """One of several, all as likely."""
    return items[int(rng.integers(len(items)))]


def damaged(data: bytes, rng: Random, other: bytes, structural: Sequence[Mutation]) -> bytes:
    """One to three changes: of the format's own numbers and parts, or of bytes anywhere.

    Args:
        data: a sound file.
        other: another sound file, to be spliced in.
        structural: changes that know the format; empty for a format without.
    """
    for _ in range(rng.choice(_CHANGES)):
        structured = bool(structural) and rng.random() < 0.7
        data = one_of(structural, rng)(data, rng) if structured else _anywhere(data, rng, other)
    return data


def _anywhere(data: bytes, rng: Random, other: bytes) -> bytes:
    """One change that knows nothing of the format."""
    if not data:
        return other[: int(rng.integers(len(other) + 1))]
    at = int(rng.integers(len(data)))
    size = int(rng.integers(1, max(2, len(data) // 8)))
    match rng.integers(9):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :]
        case 2:
            return data[:at] + rng.bytes(min(size, len(data) - at)) + data[at + size :]
        case 3:
            return data[:at] + data[at + size :]
        case 4:
            return data[:at] + data[at : at + size] * int(rng.integers(2, 6)) + data[at + size :]
        case 5:
            return data[:at] + bytes(min(size, len(data) - at)) + data[at + size :]
        case 6:
            return data[:at] + other[int(rng.integers(len(other) + 1)) :]
        case 7:
            return data + rng.bytes(size)
        case _:
            return overwritten(data, at, int(rng.choice([1, 2, 4, 8])), rng)


def overwritten(data: bytes, at: int, size: int, rng: Random) -> bytes:
    """An integer of 1, 2, 4 or 8 bytes at a place replaced by one that formats stumble over, in either byte order."""
    number = int(rng.choice(_NUMBERS)) & (256**size - 1)
    order = "<" if rng.random() < 0.5 else ">"
    field = struct.pack(order + {1: "B", 2: "H", 4: "I", 8: "Q"}[size], number)
    return data[:at] + field[: len(data) - at] + data[at + size :]


# --- pictures: (place, size) of the integers that they are built of ---------------------------------------------------

Fields = Callable[[bytes], Iterator[tuple[int, int]]]


def field_mutation(fields: Fields) -> Mutation:
    """Overwrite one of a format's own integers."""

    def mutate(data: bytes, rng: Random) -> bytes:
        places = list(fields(data))
        if not places:
            return data
        at, size = one_of(places, rng)
        return overwritten(data, at, size, rng)

    return mutate


def part_mutation(parts: Callable[[bytes], list[bytes]]) -> Mutation:
    """Leave out, double or exchange one of a file's parts; put together, the parts are the file."""

    def mutate(data: bytes, rng: Random) -> bytes:
        found = parts(data)
        one, two = (int(rng.integers(len(found))) for _ in range(2))
        match rng.integers(3):
            case 0:
                del found[one]
            case 1:
                found.insert(two, found[one])
            case _:
                found[one], found[two] = found[two], found[one]
        return b"".join(found)

    return mutate


def _png_chunks(data: bytes) -> list[bytes]:
    parts, at = [data[:8]], 8
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        parts.append(data[at : at + length + 12])
        at += length + 12
    return parts


def png_header(data: bytes, rng: Random) -> bytes:
    """Another width, height, depth, colour type or interlacing, its checksum mended."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        return data
    at, size = one_of(((16, 4), (20, 4), (24, 1), (25, 1), (28, 1)), rng)
    changed = overwritten(data, at, size, rng)
    return changed[:29] + struct.pack(">I", zlib.crc32(changed[12:29])) + changed[33:]


def _jpeg_segments(data: bytes) -> list[bytes]:
    parts, at = [data[:2]], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        parts.append(data[at : at + 2 + length])
        at += 2 + length
    return [*parts, data[at:]]


def jpeg_fields(data: bytes) -> Iterator[tuple[int, int]]:
    """Lengths of segments, and the frame's precision, size, components and tables."""
    at = 2
    for segment in _jpeg_segments(data)[1:-1]:
        yield at + 2, 2
        if segment[1] & 0xF0 == 0xC0:
            yield from ((at + 4, 1), (at + 5, 2), (at + 7, 2), (at + 9, 1), (at + 11, 1))
        at += len(segment)


def _riff_chunks(data: bytes) -> list[bytes]:
    parts, at = [data[:12]], 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        parts.append(data[at : at + 8 + length + length % 2])
        at += 8 + length + length % 2
    return parts


def riff_fields(data: bytes) -> Iterator[tuple[int, int]]:
    """Lengths of chunks, and what stands first in them."""
    yield 4, 4
    at = 12
    for chunk in _riff_chunks(data)[1:]:
        yield from ((at + 4, 4), (at + 8, 4), (at + 12, 4))
        at += len(chunk)


_CONTAINERS = (b"meta", b"iprp", b"ipco", b"iinf", b"moov", b"trak", b"dinf", b"iref")


def box_fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Of an ISO media file (HEIC, AVIF): the sizes of boxes, nested ones included, and the first numbers in them."""
    at, end = start, len(data) if end is None else end
    while at + 8 <= end:
        (size,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        yield at, 4
        stop = min(at + size, end) if size >= 8 else end
        yield from ((place, 4) for place in range(at + 8, min(stop - 3, at + 40), 4))
        if kind in _CONTAINERS:
            header = {b"meta": 12, b"iinf": 14, b"iref": 12}.get(kind, 8)
            yield from box_fields(data, at + header, stop)
        at = stop


def _boxes(data: bytes) -> list[bytes]:
    parts, at = [], 0
    while at + 8 <= len(data):
        size = max(8, struct.unpack_from(">I", data, at)[0])
        parts.append(data[at : at + size])
        at += size
    return parts or [data]


def tiff_fields(data: bytes) -> Iterator[tuple[int, int]]:
    """Tags, types, counts and values of the first directory, and its offset."""
    if len(data) < 8:
        return
    order = "<" if data[:2] == b"II" else ">"
    yield 4, 4
    (at,) = struct.unpack_from(order + "I", data, 4)
    if at + 2 > len(data):
        return
    (count,) = struct.unpack_from(order + "H", data, at)
    yield at, 2
    for entry in range(at + 2, min(at + 2 + 12 * count, len(data) - 12), 12):
        yield from ((entry, 2), (entry + 2, 2), (entry + 4, 4), (entry + 8, 4))


def bmp_fields(data: bytes) -> Iterator[tuple[int, int]]:
    """The header's numbers."""
    del data
    yield from ((2, 4), (10, 4), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2), (30, 4), (46, 4))


PICTURES: dict[str, tuple[Mutation, ...]] = {
    "jpeg": (field_mutation(jpeg_fields), part_mutation(_jpeg_segments)),
    "png": (png_header, part_mutation(_png_chunks)),
    "webp": (field_mutation(riff_fields), part_mutation(_riff_chunks)),
    "heic": (field_mutation(box_fields), part_mutation(_boxes)),
    "avif": (field_mutation(box_fields), part_mutation(_boxes)),
    "tiff": (field_mutation(tiff_fields),),
    "bmp": (field_mutation(bmp_fields),),
}


# --- documents --------------------------------------------------------------------------------------------------------

_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 0.5, 2**31, 2**63, -(2**63), 1e308, float("nan"), float("inf"), "", "x" * 1000, "../../x",
    "\x1b[31m\n", "NaN", [], {}, [[]], {"": 0}, [0] * 1000,
)  # fmt: skip


def json_mutation(data: bytes, rng: Random) -> bytes:
    """A value of a JSON document replaced, left out, doubled or scaled; bytes that are no JSON stay as they are."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return data
    changed = changed_json(document, rng)
    return (json.dumps(changed, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def changed_json(document: Any, rng: Random) -> Any:
    """A JSON document with one change somewhere, depth being as likely as width; it is changed in place."""
    holders = [(holder, key) for holder in _holders(document) for key in _keys(holder)]
    if not holders:
        return one_of(_VALUES, rng)
    holder, key = one_of(holders, rng)
    value = holder[key]
    match rng.integers(5):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, value)
        case 2 if isinstance(value, int | float):
            holder[key] = value * int(rng.choice([-1, 1000, 10**6, 10**12]))
        case 3 if isinstance(holder, dict):
            holder[f"{key}x"] = value
        case _:
            holder[key] = one_of(_VALUES, rng)
    return document


def _holders(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _holders(inner)


def _keys(holder: Any) -> list[Any]:
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))


def safetensors_mutation(data: bytes, rng: Random) -> bytes:
    """A change in the header of a safetensors file, or of the header's length."""
    if len(data) < 8:
        return data
    (length,) = struct.unpack_from("<Q", data)
    if rng.random() < 0.2:
        return overwritten(data, 0, 8, rng)
    change = _other_shape if rng.random() < 0.4 else json_mutation
    header = change(data[8 : 8 + length], rng)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def _other_shape(header: bytes, rng: Random) -> bytes:
    """A tensor's shape or type changed so that its bytes still suffice: sound by itself, and not what was promised."""
    try:
        document = json.loads(header)
    except ValueError:
        return header
    names = [name for name, entry in document.items() if isinstance(entry, dict) and "shape" in entry]
    if not names:
        return header
    entry = document[one_of(names, rng)]
    match rng.integers(4):
        case 0:
            entry["shape"] = entry["shape"][::-1]
        case 1:
            entry["shape"] = [int(np.prod(entry["shape"]))]
        case 2:
            entry["shape"] = [1, *entry["shape"]]
        case _:
            entry["dtype"] = {"F32": "I32", "I64": "F64", "U8": "I8"}.get(entry["dtype"], "F32")
    return json.dumps(document).encode()


def text_mutation(data: bytes, rng: Random) -> bytes:
    """A line left out, doubled or moved, or a word of it replaced, as in TOML."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    one, two = (int(rng.integers(len(lines))) for _ in range(2))
    match rng.integers(4):
        case 0:
            del lines[one]
        case 1:
            lines.insert(two, lines[one])
        case 2:
            lines[one], lines[two] = lines[two], lines[one]
        case _:
            value = one_of(_VALUES, rng)
            words = lines[one].split(b" ")
            words[int(rng.integers(len(words)))] = repr(value).encode()
            lines[one] = b" ".join(words) + b"\n"
    return b"".join(lines)


def message_mutation(message: Any, rng: Random) -> None:
    """One field of a protobuf message, changed in place: another number or name, a part lost or doubled."""
    fields = list(_fields(message))
    if not fields:
        return
    owner, field = one_of(fields, rng)
    if rng.random() < 0.15 or (field.message_type is not None and not field.is_repeated):
        owner.ClearField(field.name)
        return
    value = getattr(owner, field.name)
    if hasattr(value, "append") or hasattr(value, "add"):  # repeated
        if len(value) and rng.random() < 0.5:
            del value[int(rng.integers(len(value)))]
        elif len(value):
            value.append(value[int(rng.integers(len(value)))])
        return
    names = [v for o, f in fields if f.type == f.TYPE_STRING for v in [getattr(o, f.name)] if isinstance(v, str)]
    changed = _scalar(value, names, rng)
    try:
        setattr(owner, field.name, changed)
    except (TypeError, ValueError):  # a number beyond the field's range
        owner.ClearField(field.name)


def _scalar(value: Any, names: Sequence[str], rng: Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return int(rng.choice(_NUMBERS)) if rng.random() < 0.7 else value + int(rng.integers(-2, 3))
    if isinstance(value, float):
        return float(rng.choice([0, -1, 1e38, np.nan, np.inf]))
    if isinstance(value, bytes):
        return _anywhere(value, rng, b"\xff" * 64)
    return one_of(["", "x", "../../x", "\x1b[31m", *names], rng)


def _fields(message: Any) -> Iterator[tuple[Any, Any]]:
    """(message, field descriptor) of all that is set, at any depth; maps are walked by their values."""
    for field, value in message.ListFields():
        kind = field.message_type
        if kind is None:
            yield message, field
        elif kind.GetOptions().map_entry:
            if kind.fields_by_name["value"].message_type is not None:
                for key in sorted(value):
                    yield from _fields(value[key])
        elif hasattr(value, "add"):
            yield message, field
            for item in value:
                yield from _fields(item)
        else:
            yield message, field
            yield from _fields(value)

"""Whether a picture file is whole, by its format's own means: lengths, checksums, a decoder that is strict.

Decoders for viewing show what they can of a damaged file and say nothing. A portrait made of it would be ruined, so
every file is looked at before it is decoded for good.
"""

from __future__ import annotations

import zlib

from . import jpeg
from .heif import heif_damage
from .jpeg_damage import jpeg_damage

_PNG = b"\x89PNG\r\n\x1a\n"


def damage_of(data: bytes) -> str | None:
    """What shows that a file is damaged or cut short, in a few words; None where nothing does.

    Found are all cuts, damage to PNG (checksums), to the structure of HEIC and WebP, and to JPEG where it shows. HEVC
    and VP8 have no checksums: changed bytes inside of one coded part decode to other pixels, and nothing tells.

    Args:
        data: the bytes of a JPEG, PNG, HEIC or WebP file; other formats are left to their decoder.
    """
    if data.startswith(jpeg.START):
        return jpeg_damage(data)
    if data.startswith(_PNG):
        return _png_damage(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _riff_damage(data)
    return heif_damage(data) if data[4:8] == b"ftyp" else None


def _png_damage(data: bytes) -> str | None:
    position = len(_PNG)
    while position + 12 <= len(data):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        end = position + 12 + length
        if end > len(data):
            break
        stored = int.from_bytes(data[end - 4 : end], "big")
        # Only critical chunks (capital first letter): a damaged note is no reason to refuse the photo.
        if kind[:1].isupper() and zlib.crc32(memoryview(data)[position + 4 : end - 4]) != stored:
            return f"the checksum of its chunk {kind.decode('ascii', 'replace')} is wrong"
        if kind == b"IEND":
            return None
        position = end
    return "its end is missing"


def _riff_damage(data: bytes) -> str | None:
    declared = int.from_bytes(data[4:8], "little") + 8
    if declared > len(data):
        return f"it says {declared} bytes, {len(data)} are there"
    position = 12
    while position + 8 <= declared:
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + length + length % 2
        if position > declared + 1:
            return "a chunk goes beyond its end"
    return None

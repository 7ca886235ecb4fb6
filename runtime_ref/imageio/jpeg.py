"""The pictures in a JPEG file, one after another, with their metadata. Nothing is decoded here.

Phones append depth maps, mattes and gain maps to the photo as further JPEG pictures. They are found by walking the
file: the MPF index that lists them is often left stale by programs that edit the photo's metadata.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

START = b"\xff\xd8\xff"
END = b"\xff\xd9"
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENSION_HEADER = struct.Struct(">32sII")  # GUID, length of the whole, offset of this part
_EXTENSION_PART = 65400  # bytes of one segment, which ends at 65535 with all its headers
# In entropy-coded data 0xFF is followed by 0x00 or a restart marker; all else is the next segment.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_END, _SCAN, _APP1 = 0xD9, 0xDA, 0xE1
_BARE_MARKERS = (0x01, *range(0xD0, 0xD8))


@dataclass
class JpegPicture:
    """One picture of the file: where it lies (`data[start:end]`) and its metadata, None where it has none."""

    start: int
    end: int
    exif: bytes | None = None
    xmp: bytes | None = None
    _extension: list[bytes] = field(default_factory=list)

    def extended_xmp(self, guid: str) -> bytes | None:
        """The part of the XMP packet that did not fit into 64 KB, by the GUID that the main packet names.

        Returns:
            The extension put together from its segments; None where it is not there as a whole.
        """
        whole, declared = bytearray(), 0
        for segment in sorted(self._extension, key=lambda segment: _EXTENSION_HEADER.unpack_from(segment)[2]):
            owner, length, offset = _EXTENSION_HEADER.unpack_from(segment)
            if owner == guid.encode("ascii", "replace") and offset == len(whole):
                whole += segment[_EXTENSION_HEADER.size :]
                declared = length
        return bytes(whole) if declared and declared == len(whole) else None

    def add_app1(self, content: bytes) -> None:
        """Take in an APP1 segment's content; kinds that are not known, and second ones, are passed over."""
        if content.startswith(_EXIF):
            self.exif = self.exif or content
        elif content.startswith(_XMP):
            self.xmp = self.xmp or content[len(_XMP) :]
        elif content.startswith(_EXTENDED_XMP) and len(content) >= len(_EXTENDED_XMP) + _EXTENSION_HEADER.size:
            self._extension.append(content[len(_EXTENDED_XMP) :])


def extended_xmp_segments(guid: str, extension: bytes) -> bytes:
    """The APP1 segments that hold the part of an XMP packet that does not fit into one (XMP part 3, 1.1.3.1).

    Args:
        guid: 32 hexadecimal digits, MD5 of the extension; the main packet names it.
        extension: XMP of any length, UTF-8.
    """
    segments = bytearray()
    for offset in range(0, len(extension), _EXTENSION_PART):
        header = _EXTENSION_HEADER.pack(guid.encode(), len(extension), offset)
        content = _EXTENDED_XMP + header + extension[offset : offset + _EXTENSION_PART]
        segments += bytes((0xFF, _APP1)) + struct.pack(">H", 2 + len(content)) + content
    return bytes(segments)


def jpeg_pictures(data: bytes) -> list[JpegPicture]:
    """The pictures of a JPEG file in their order, the photo first; thumbnails inside EXIF are not among them.

    Takes any bytes, in linear time: a damaged picture ends where it stops making sense.
    """
    pictures = []
    start = data.find(START)
    while start >= 0:
        pictures.append(_picture(data, start))
        start = data.find(START, pictures[-1].end)
    return pictures


def _picture(data: bytes, start: int) -> JpegPicture:
    picture = JpegPicture(start, len(data))
    position = start + 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
        elif marker in _BARE_MARKERS:
            position += 2
        elif marker == _END:
            break
        else:
            position = _segment(data, position, picture)
    picture.end = min(position + 2, len(data))
    return picture


def _segment(data: bytes, position: int, picture: JpegPicture) -> int:
    """Read the segment at `position` into `picture`; returns where the next one begins."""
    marker = data[position + 1]
    end = position + 2 + max(2, int.from_bytes(data[position + 2 : position + 4], "big"))
    if marker == _APP1:
        picture.add_app1(data[position + 4 : end])
    if marker == _SCAN:
        following = _AFTER_SCAN.search(data, min(end, len(data)))
        return following.start() if following else len(data)
    return end

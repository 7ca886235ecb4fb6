"""Dynamic Depth (Google, 1.0): a depth map appended to the JPEG as a file of its own, named in the photo's XMP.

The packet lists the appended files with their lengths in the order in which they follow the photo, and says which of
them is the camera's depth. Only finding it is done here; what its values mean is the same as in GDepth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .jpeg import JpegPicture
from .xmp import xmp_property

DEPTH_MAP = "http://ns.google.com/photos/dd/1.0/depthmap/"
# The container was a part of Dynamic Depth first, then of its own (Ultra HDR, motion photos); phones write either.
_ITEMS = ("http://ns.google.com/photos/dd/1.0/item/", "http://ns.google.com/photos/1.0/container/item/")
_DECLARED = re.compile(r"""\sxmlns:[\w.-]+\s*=\s*["'][^"'<>]*["']""")
_MOST_ITEMS = 64


@dataclass(frozen=True)
class AppendedFile:
    """A file of the container.

    Attributes:
        start, end: where it lies in the whole.
        uri: by which the packet names it.
        semantic: what it is for ("Depth", "GainMap", …), "" where the packet does not say.
    """

    start: int
    end: int
    uri: str
    semantic: str


def depth_file(data: bytes, photo: JpegPicture) -> bytes | None:
    """The bytes of the appended depth map; None where the photo names none, or where it is not there as a whole.

    Args:
        data: the whole file.
        photo: its first picture.
    """
    if photo.xmp is None:
        return None
    uri = xmp_property(photo.xmp, DEPTH_MAP, "DepthURI")
    if not uri:
        return None
    found = next((file for file in appended_files(data, photo) if file.uri == uri), None)
    return None if found is None else data[found.start : found.end]


def appended_files(data: bytes, photo: JpegPicture) -> list[AppendedFile]:
    """The files after the photo, as far as they lie within `data`; [] where a length is no number."""
    files: list[AppendedFile] = []
    position = photo.end
    for number, item in enumerate(_items(photo.xmp or b"")):
        length, padding = (_whole(_value(item, name)) for name in ("Length", "Padding"))
        if length is None or padding is None:
            return []
        if number == 0:  # the photo itself; its length is often 0, which means "up to where it ends"
            position += padding
            continue
        end = position + length
        if end > len(data):
            break
        files.append(AppendedFile(position, end, _value(item, "DataURI") or "", _value(item, "Semantic") or ""))
        position = end + padding
    return files


def _items(xmp: bytes) -> list[bytes]:
    """The entries of the container's directory, each with the packet's namespaces before it."""
    text = xmp.decode("utf-8", "replace")
    namespaces = "".join(dict.fromkeys(match[0] for match in _DECLARED.finditer(text)))
    chunks = text.split("<rdf:li")[1 : _MOST_ITEMS + 1]
    entries = (f"<rdf:li{namespaces}{chunk.partition('</rdf:Seq')[0]}".encode() for chunk in chunks)
    return [entry for entry in entries if _value(entry, "Mime") is not None]


def _value(item: bytes, name: str) -> str | None:
    return next((value for uri in _ITEMS if (value := xmp_property(item, uri, name)) is not None), None)


def _whole(text: str | None) -> int | None:
    """A count of bytes; 0 where it is not stated."""
    if text is None:
        return 0
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None

"""XMP packets: single values looked up, and the parts dropped that are wrong once the pixels are re-encoded.

Packets come from strangers. They are searched with linear patterns; only the result of a cleaning is parsed as XML,
and never one that declares a document type, so no entity is ever expanded.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from xml.etree import ElementTree

from .jpeg import JpegPicture, extended_xmp_segments

NOTE = "http://ns.adobe.com/xmp/note/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

# Namespaces that describe other pictures or data in the file (depth maps, gain maps, motion photos), or the container
# that holds them. A photo written anew has one picture and one packet.
_STALE_NAMESPACES = (
    "http://ns.google.com/photos/1.0/depthmap/",
    "http://ns.google.com/photos/1.0/image/",
    "http://ns.google.com/photos/1.0/audio/",
    "http://ns.google.com/photos/1.0/camera/",
    "http://ns.google.com/photos/1.0/container/",
    "http://ns.google.com/photos/dd/",
    "http://ns.adobe.com/hdr-gain-map/",
    "http://ns.adobe.com/xmp/note/",
    "http://ns.apple.com/HDRGainMap/",
    "http://ns.apple.com/depthBlurEffect/",
    "http://ns.apple.com/depthData/",
    "http://ns.apple.com/pixeldatainfo/",
    "http://ns.apple.com/portraitEffectsMatte/",
)
# Values that EXIF states too, and that hold for the pixels as they were stored.
_STALE_VALUES = {
    "http://ns.adobe.com/tiff/1.0/": ("Orientation", "ImageWidth", "ImageLength"),
    "http://ns.adobe.com/exif/1.0/": ("PixelXDimension", "PixelYDimension"),
}
# Packets of photos are a few kilobytes. What is longer than this holds data, not words about the photo.
_LONGEST_CLEANED = 1 << 22

_DECLARATION = re.compile(r"""\sxmlns:([\w.-]+)\s*=\s*["']([^"'<>]*)["']""")


def xmp_property(xmp: bytes, namespace: str, name: str) -> str | None:
    """The text of a simple property, written as an attribute or as an element; None where there is none.

    Args:
        xmp: the packet, UTF-8.
        namespace: its URI; the prefix is taken from the packet.
        name: local name of the property.
    """
    text = xmp.decode("utf-8", "replace")
    for prefix in _prefixes(text, lambda uri: uri == namespace):
        tag = re.escape(f"{prefix}:{name}")
        attribute = rf"""\s{tag}\s*=\s*(?:"([^"]*)"|'([^']*)')"""
        element = rf"<{tag}(?:\s[^<>]*)?>([^<]*)</{tag}\s*>"
        found = re.search(attribute, text) or re.search(element, text)
        if found:
            return next(group for group in found.groups() if group is not None).strip()
    return None


def xmp_for_reencoded(xmp: bytes | None) -> bytes | None:
    """The packet without orientation, pixel sizes, and all that points at other pictures in the file.

    Returns:
        The cleaned packet; None where there was none, or where it cannot be cleaned with certainty (not UTF-8, not
        well-formed, with a document type, or longer than 4 MiB).
    """
    if not xmp or len(xmp) > _LONGEST_CLEANED:
        return None
    try:
        text = xmp.rstrip(b"\0").decode("utf-8")
        if "<!DOCTYPE" in text:
            return None
        text = _without_stale_parts(text)
        # Also the proof that no stale element is left: its prefix is declared no more.
        ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        return None
    return text.encode("utf-8")


def extended_packet(xmp: bytes, longest: int) -> tuple[bytes | None, bytes]:
    """A packet that is too long for one JPEG segment, as a short one and the segments of its extension.

    Args:
        xmp: the packet, UTF-8.
        longest: bytes that fit into one segment.

    Returns:
        The main packet, and the segments to stand beside it in the file; `xmp` itself and none where it fits.
    """
    if len(xmp) <= longest:
        return xmp, b""
    guid = hashlib.md5(xmp, usedforsecurity=False).hexdigest().upper()
    main = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">'
        f'<rdf:Description rdf:about="" xmlns:xmpNote="{NOTE}" xmpNote:HasExtendedXMP="{guid}"/>'
        "</rdf:RDF></x:xmpmeta>"
    )
    return main.encode(), extended_xmp_segments(guid, xmp)


def merged(xmp: bytes, picture: JpegPicture) -> bytes:
    """A JPEG picture's packet with the descriptions of its extension, if it has one that holds for new pixels.

    Depth maps and the like, which fill most extensions, are left out. The packet comes back as it is where there is no
    extension or where it cannot be put in with certainty.
    """
    extension = picture.extended_xmp(xmp_property(xmp, NOTE, "HasExtendedXMP") or "")
    if extension is None:
        return xmp
    try:
        text, main = _without_stale_parts(extension.decode("utf-8")), xmp.decode("utf-8")
        inside = _rdf_element(text, _prefixes(text, _is_rdf))
        place = _rdf_element(main, _prefixes(main, _is_rdf))
    except ValueError:  # not UTF-8, or not closed
        return xmp
    if inside is None or place is None:
        return xmp
    known = dict(_DECLARATION.findall(main))
    outer = dict(_DECLARATION.findall(text[: inside.start("content")]))
    declared = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in outer.items() if prefix not in known)
    opened = place.end("open")
    end = place.end("content")
    whole = (main[:opened] + declared + main[opened:end] + inside["content"] + main[end:]).encode()
    return whole if xmp_for_reencoded(whole) is not None else xmp


def _is_rdf(uri: str) -> bool:
    return uri == _RDF


def _rdf_element(text: str, prefixes: list[str]) -> re.Match[str] | None:
    """The element rdf:RDF, under whichever prefix; its name and its content are groups."""
    name = "|".join(re.escape(prefix) for prefix in prefixes) or "rdf"
    return re.search(rf"(?P<open><(?P<prefix>{name}):RDF)[^<>]*>(?P<content>.*)</(?P=prefix):RDF\s*>", text, re.DOTALL)


def _without_stale_parts(text: str) -> str:
    stale = [re.escape(prefix) for prefix in _prefixes(text, lambda uri: uri.startswith(_STALE_NAMESPACES))]
    tags = [f"{prefix}:[\\w.-]+" for prefix in stale]
    for namespace, names in _STALE_VALUES.items():
        prefixes = _prefixes(text, lambda uri, namespace=namespace: uri == namespace)
        tags += [f"{re.escape(prefix)}:(?:{'|'.join(names)})" for prefix in prefixes]
    if not tags:
        return text
    declarations = [f"xmlns:{prefix}" for prefix in stale]
    text = re.sub(rf"""\s(?:{"|".join(tags + declarations)})\s*=\s*(?:"[^"]*"|'[^']*')""", "", text)
    text = re.sub(rf"<(?:{'|'.join(tags)})(?:\s[^<>]*)?/>", "", text)
    return _without_elements(text, "|".join(tags))


def _without_elements(text: str, tags: str) -> str:
    """Cut out whole elements, with all that is in them. Raises ValueError where one is never closed."""
    kept, position = [], 0
    for opening in re.finditer(rf"<({tags})(?:\s[^<>]*)?>", text):
        if opening.start() < position:  # inside the one before
            continue
        closing = re.compile(rf"</{re.escape(opening[1])}\s*>").search(text, opening.end())
        if closing is None:
            raise ValueError(f"{opening[1]} is not closed")
        kept.append(text[position : opening.start()])
        position = closing.end()
    return "".join(kept) + text[position:]


def _prefixes(text: str, wanted: Callable[[str], bool]) -> list[str]:
    """The distinct prefixes that the packet binds to wanted namespaces, in order."""
    return list(dict.fromkeys(prefix for prefix, uri in _DECLARATION.findall(text) if wanted(uri)))

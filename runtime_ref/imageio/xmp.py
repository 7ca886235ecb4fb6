"""XMP packets: single values looked up, and the parts dropped that are wrong once the pixels are re-encoded.

Packets come from strangers. They are searched with linear patterns; only the result of a cleaning is parsed as XML,
and never one that declares a document type, so no entity is ever expanded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

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
# Packets of photos are a few kilobytes, 64 at most in a JPEG; a longer one holds data, not words about the photo.
_LONGEST_CLEANED = 1 << 18

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
        well-formed, with a document type, or longer than 256 KiB).
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

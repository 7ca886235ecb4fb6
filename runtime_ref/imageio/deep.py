"""Colour pictures of 16 bits a channel, which Pillow reads to 8 bits and does not write: PNG and TIFF in, PNG out."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .opening import open_image

# Pillow's raw modes of 16-bit channels and the mode that takes the other byte of each. One byte comes out of one
# decoding: twice decoded, both are there.
_NATIVE, _OTHER = ("L", "B") if sys.byteorder == "little" else ("B", "L")
_OTHER_BYTE = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", _OTHER))
}
_GREY_ALPHA = "LA;16B"
_ROWS = 64  # of a PNG that are filtered at a time


def is_deep(image: Image.Image) -> bool:
    """Whether an opened picture, not yet loaded, has colour or grey in 16 bits a channel."""
    raw = _raw_mode(image)
    return image.mode.startswith("I;16") or raw in _OTHER_BYTE or raw == _GREY_ALPHA


def deep_pixels(data: bytes) -> NDArray[np.uint16] | None:
    """The pixels of a PNG or TIFF of 16 bits a channel.

    Returns:
        uint16 `[H, W, 3]`, or `[H, W, 4]` with alpha; None where the file has no such pixels.
    """
    image = open_image(data)
    raw = _raw_mode(image)
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16, copy=False)
        return np.repeat(grey[..., None], 3, axis=2)
    if raw == _GREY_ALPHA:
        return _grey_alpha(image)
    if raw not in _OTHER_BYTE or "transparency" in image.info:
        return None
    high = np.asarray(image).astype(np.uint16)
    second = open_image(data)
    _set_raw_mode(second, _OTHER_BYTE[raw])
    high <<= 8
    high |= np.asarray(second)
    return high


def encode_png(pixels: NDArray[np.uint16], chunks: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """A PNG of 16 bits a channel.

    Args:
        pixels: uint16 `[H, W, 3]`, or `[H, W, 4]` with alpha.
        chunks: (kind, content) of what stands before the pixels: `iCCP`, `eXIf`, `iTXt`.
    """
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)
    packed = b"".join(_packed(pixels))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def profile_chunk(profile: bytes) -> tuple[bytes, bytes]:
    """An ICC profile as a PNG chunk (PNG 3rd edition, 11.3.2.3)."""
    return b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile)


def xmp_chunk(packet: bytes) -> tuple[bytes, bytes]:
    """An XMP packet as a PNG chunk."""
    return b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet


def _packed(pixels: NDArray[np.uint16]) -> Iterable[bytes]:
    """Rows filtered by the pixel to their left (PNG 9.2, type 1), compressed."""
    height, width, channels = pixels.shape
    packer, step = zlib.compressobj(6), 2 * channels
    for top in range(0, height, _ROWS):
        rows = pixels[top : top + _ROWS].astype(">u2").view(np.uint8).reshape(-1, width * step)
        filtered = np.ones((len(rows), 1 + width * step), np.uint8)
        filtered[:, 1:] = rows
        filtered[:, 1 + step :] -= rows[:, :-step]
        yield packer.compress(filtered.tobytes())
    yield packer.flush()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _grey_alpha(image: Image.Image) -> NDArray[np.uint16]:
    """Grey and alpha of 2 bytes each have a pixel's size of RGBA in bytes: read as such, nothing is lost."""
    image._mode = "RGBA"
    _set_raw_mode(image, "RGBA")
    values = np.asarray(image).astype(np.uint16)
    grey, alpha = (values[..., 2 * k] << 8 | values[..., 2 * k + 1] for k in (0, 1))
    return np.stack([grey, grey, grey, alpha], axis=2).astype(np.uint16, copy=False)


def _raw_mode(image: Image.Image) -> str:
    tiles = getattr(image, "tile", None)
    if not tiles or image.format not in ("PNG", "TIFF"):
        return ""
    arguments = tiles[0].args
    return arguments if isinstance(arguments, str) else str(arguments[0]) if arguments else ""


def _set_raw_mode(image: Image.Image, raw: str) -> None:
    tiles = image.tile  # type: ignore[attr-defined]  # of pictures in files
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=raw if isinstance(tile.args, str) else (raw, *tile.args[1:])) for tile in tiles
    ]

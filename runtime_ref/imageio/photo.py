"""Photos in and out: pixels upright, colour profile and camera metadata carried through. Depth is elsewhere."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..errors import DofkitError, first_line
from ..files import read_file, write_file
from . import jpeg
from .attachments import attachments_of
from .colour_modes import alpha_of, rgb_pixels
from .deep import deep_pixels, encode_png, is_deep, profile_chunk, xmp_chunk
from .exif import HEADER, exif_for, orientation_of, oriented
from .exif_fitting import exif_within
from .formats import Format, Keep, check_fits, format_of
from .opening import decode_file, open_image
from .xmp import extended_packet, merged, xmp_for_reencoded

Pixels = NDArray[np.uint8 | np.uint16]
_NOTHING = Keep()
_WHITE_16 = 65535


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo as read, with what has to be kept when a rendering of it is written.

    Attributes:
        pixels: uint8 or uint16 `[H, W, 3]`, RGB, encoded by `icc_profile` (sRGB where it is None), EXIF orientation
            applied.
        exif: the EXIF block with its `Exif\\0\\0` header, orientation 1, sizes of `pixels`, no thumbnail; or None.
        icc_profile: the ICC profile of an RGB photo, or None.
        xmp: the XMP packet without orientation and without pointers at other pictures of the file; or None.
        source: the file it was read from.
        alpha: `[H, W]` like `pixels`, where the photo is transparent and that was to be kept; else None.
        orientation: how the stored pixels were turned, 1 to 8 as in EXIF.
        notes: what of the file is not in here, one sentence each.
    """

    pixels: Pixels
    exif: bytes | None
    icc_profile: bytes | None
    xmp: bytes | None
    source: Path
    alpha: Pixels | None = None
    orientation: int = 1
    notes: tuple[str, ...] = ()


def read_photo(path: str | Path, keep: Keep = _NOTHING) -> Photo:
    """Read a JPEG, PNG, HEIC, WebP, TIFF or BMP photo; of several pictures in the file, the main one.

    Values are taken as they are: those of a Display P3 photo stay Display P3, its profile says so when they are
    written again. Grey, CMYK and palette pictures become RGB (see `colour_modes`). The orientation is EXIF's, in HEIC
    the container's. A TIFF's EXIF is applied but not kept.

    Args:
        path: the file.
        keep: transparency and 16 bits, which else become white and 8 bits. `Photo.notes` says so.

    Raises:
        DofkitError: missing, empty, damaged, cut short, not a picture, or too large for this machine.
    """
    path = Path(path)
    data = read_file(path)
    image = decode_file(data, path)
    pixels, alpha, icc_profile, notes = _channels(image, data, path, keep)
    exif, packet = _exif_block(image), _xmp_packet(image, data)
    orientation = orientation_of(exif)
    pixels = oriented(pixels, orientation)
    height, width = pixels.shape[:2]
    kept_exif, kept_xmp = exif_for(exif, width, height), xmp_for_reencoded(packet)
    notes += [*_other_frames(image), *_left_behind(data), *_unreadable(exif, kept_exif, packet, kept_xmp, image)]
    return Photo(
        pixels, kept_exif, icc_profile, kept_xmp, path,
        None if alpha is None else oriented(alpha, orientation), _turned(image, orientation), tuple(notes),
    )  # fmt: skip


def write_photo(path: str | Path, pixels: Pixels, like: Photo | None = None, quality: int = 95) -> tuple[str, ...]:
    """Write a photo whole or not at all, in the format that the suffix names: .jpg .jpeg .png .heic .webp.

    Args:
        path: where to; a file that is there is replaced.
        pixels: uint8 or uint16 `[H, W, 3]`, upright.
        like: the photo whose EXIF, ICC profile, XMP and alpha the file takes over, as far as the format can hold them.
        quality: 1 to 100, of the lossy formats.

    Returns:
        What the format could not hold, one sentence each.

    Raises:
        DofkitError: another suffix, more pixels a side than the format allows, or a place that cannot be written.
        ValueError: `pixels` or `quality` are not as described.
    """
    path = Path(path)
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(f"pixels are to be uint8 or uint16 [H, W, 3], not {pixels.dtype} {list(pixels.shape)}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is 1 to 100, not {quality}")
    form = format_of(path)
    check_fits(form, path, *pixels.shape[:2])
    pixels, notes = _fitting_pixels(form, pixels, None if like is None else like.alpha)
    metadata, more = _fitting_metadata(form, pixels, like)
    try:
        data = _encoded(form, pixels, metadata, quality)
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        said = first_line(error).rstrip(".")
        raise DofkitError(f"{path}: cannot be written as {form.name} ({said}); write a .png instead") from error
    write_file(path, data)
    return (*notes, *more)


def eight_bits(pixels: Pixels) -> NDArray[np.uint8]:
    """Pixels of 8 or 16 bits a channel, in 8."""
    if pixels.dtype == np.uint8:
        return pixels.view(np.uint8)
    result = np.empty(pixels.shape, np.uint8)
    for row, values in zip(result, pixels, strict=True):  # a photo of 48 megapixels has no room for a float copy
        row[...] = np.rint(values / np.float32(257))
    return result


def _channels(
    image: Image.Image, data: bytes, path: Path, keep: Keep
) -> tuple[Pixels, Pixels | None, bytes | None, list[str]]:
    """Colours, alpha where it is kept, the profile of the colours, and what is lost."""
    notes = []
    profile = image.info.get("icc_profile")
    if is_deep(open_image(data)):
        deep = deep_pixels(data) if keep.sixteen_bits and not (profile and profile[16:20] != b"RGB ") else None
        if deep is not None:
            alpha = deep[..., 3] if deep.shape[2] == 4 and deep[..., 3].min() < _WHITE_16 else None
            return np.ascontiguousarray(deep[..., :3]), alpha, profile, notes
        notes.append("has 16 bits a channel, rendered are 8; a PNG or TIFF written as .png keeps them")
    elif (image.info.get("bit_depth") or 8) > 8:
        notes.append(f"has {image.info['bit_depth']} bits a channel, rendered are 8")
    alpha = alpha_of(image)
    if alpha is not None and not keep.alpha:
        notes.append("is transparent in places, which become white; a .png, .webp or .heic keeps them")
    pixels, kept = rgb_pixels(image, str(path), over_white=not keep.alpha)
    return pixels, alpha if keep.alpha else None, kept, notes


def _other_frames(image: Image.Image) -> list[str]:
    frames = 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)
    return [f"holds {frames} pictures, rendered is one of them"] if frames > 1 else []


def _left_behind(data: bytes) -> list[str]:
    found = attachments_of(data)
    names = " and ".join(filter(None, (", ".join(found[:-1]), found[-1] if found else "")))
    return [f"holds {names} of the sharp photo, not taken over by a portrait"] if found else []


def _unreadable(
    exif: bytes | None, kept_exif: bytes | None, packet: bytes | None, kept_xmp: bytes | None, image: Image.Image
) -> list[str]:
    lost = ["EXIF"] if exif and kept_exif is None else []
    lost += ["XMP"] if packet and kept_xmp is None else []
    notes = [f"has {' and '.join(lost)} that cannot be carried over (damaged, or too long)"] if lost else []
    if image.format == "TIFF" and {0x8769, 0x8825, 0x010F} & set(image.getexif()):
        notes.append("is a TIFF, whose EXIF is not carried over")
    return notes


def _turned(image: Image.Image, orientation: int) -> int:
    """How the pixels of the file were turned: by EXIF, or, in a HEIC, by its container when it was decoded."""
    return image.info.get("original_orientation") or orientation


def _fitting_pixels(form: Format, pixels: Pixels, alpha: Pixels | None) -> tuple[Pixels, list[str]]:
    """The pixels with alpha as their fourth channel, as far as the format holds them, and what it does not."""
    notes = []
    if pixels.dtype == np.uint16 and not form.keep.sixteen_bits:
        pixels = eight_bits(pixels)
        notes.append(f"{form.name} holds 8 of the photo's 16 bits a channel; a .png holds them all")
    if alpha is None:
        return pixels, notes
    if not form.keep.alpha:
        return pixels, [*notes, f"{form.name} has no transparency; a .png, .webp or .heic keeps it"]
    if alpha.dtype != pixels.dtype:
        alpha = eight_bits(alpha) if pixels.dtype == np.uint8 else alpha.astype(np.uint16) * 257
    return np.dstack([pixels, alpha]), notes


@dataclass(frozen=True)
class _Metadata:
    exif: bytes | None = None
    icc_profile: bytes | None = None
    xmp: bytes | None = None
    segments: bytes = b""  # of a JPEG, beside those that Pillow writes


def _fitting_metadata(form: Format, pixels: Pixels, like: Photo | None) -> tuple[_Metadata, list[str]]:
    if like is None:
        return _Metadata(), []
    height, width = pixels.shape[:2]
    exif, xmp, segments, notes = exif_for(like.exif, width, height), like.xmp, b"", []
    longest = form.longest_metadata
    if longest and exif and len(exif) > longest:
        whole = len(exif)
        exif, dropped = exif_within(exif, longest)
        notes.append(
            f"{form.name} holds {longest / 1000:.0f} kB of EXIF, the photo has {whole / 1000:.0f} kB: left out "
            + ", ".join(_first_few(dropped))
        )
    if longest and xmp and len(xmp) > longest:
        xmp, segments = extended_packet(xmp, longest)
    return _Metadata(exif, like.icc_profile, xmp, segments), notes


def _first_few(words: Sequence[str], most: int = 3) -> list[str]:
    more = len(words) - most
    return [*words[:most], *([f"and {more} more"] if more > 0 else [])]


def _encoded(form: Format, pixels: Pixels, metadata: _Metadata, quality: int) -> bytes:
    if pixels.dtype == np.uint16:
        return encode_png(pixels.astype(np.uint16, copy=False), _png_chunks(metadata))
    found = {"exif": metadata.exif, "icc_profile": metadata.icc_profile, "xmp": metadata.xmp}
    options: dict[str, Any] = {key: value for key, value in found.items() if value is not None}
    if form.name == "PNG" and "xmp" in options:
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode("utf-8"))
    if metadata.segments:
        options["extra"] = metadata.segments
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form.name, quality=quality, **form.options, **options)
    return buffer.getvalue()


def _png_chunks(metadata: _Metadata) -> list[tuple[bytes, bytes]]:
    chunks = [profile_chunk(metadata.icc_profile)] if metadata.icc_profile else []
    chunks += [(b"eXIf", metadata.exif.removeprefix(HEADER))] if metadata.exif else []
    return chunks + ([xmp_chunk(metadata.xmp)] if metadata.xmp else [])


def _exif_block(image: Image.Image) -> bytes | None:
    block = image.info.get("exif")
    return None if not block else HEADER + block.removeprefix(HEADER)


def _xmp_packet(image: Image.Image, data: bytes) -> bytes | None:
    """The XMP packet; in a JPEG, where it may go on in further segments, all of it."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")  # the latter: PNG before Pillow 11
    packet = packet.encode("utf-8") if isinstance(packet, str) else packet
    return merged(packet, jpeg.jpeg_pictures(data)[0]) if packet and data.startswith(jpeg.START) else packet

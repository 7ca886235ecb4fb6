"""Photos in and out: pixels upright, colour profile and camera metadata carried through. Depth is elsewhere."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from ..errors import DofkitError, first_line
from ..files import check_folder, read_file, write_file
from .colour_modes import rgb_pixels
from .exif import HEADER, exif_for, orientation_of, oriented
from .xmp import xmp_for_reencoded

pillow_heif.register_heif_opener()


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo as read, with what has to be kept when a rendering of it is written.

    Attributes:
        pixels: uint8 `[H, W, 3]`, RGB, encoded by `icc_profile` (sRGB where it is None), EXIF orientation applied.
        exif: the EXIF block with its `Exif\\0\\0` header, orientation 1, sizes of `pixels`, no thumbnail; or None.
        icc_profile: the ICC profile of an RGB photo, or None.
        xmp: the XMP packet without orientation and without pointers at other pictures of the file; or None.
        source: the file it was read from.
    """

    pixels: NDArray[np.uint8]
    exif: bytes | None
    icc_profile: bytes | None
    xmp: bytes | None
    source: Path


@dataclass(frozen=True)
class _Format:
    name: str  # Pillow's
    longest_side: int
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    longest_metadata: int | None = None  # bytes of one block

    def holds(self, block: bytes | None) -> bytes | None:
        return None if block and self.longest_metadata and len(block) > self.longest_metadata else block


# Colour at full resolution (4:4:4): halved chroma bleeds over the edges that a rendering keeps sharp. WebP has 4:2:0
# only. A JPEG segment ends at 65535 bytes, its length and signature included.
_JPEG = _Format("JPEG", 65535, MappingProxyType({"subsampling": 0}), longest_metadata=65500)
# On 2 MP of a phone photo x265's ultrafast took 1.1 s, wrote 794 kB and kept 58.3 dB; its default, slow, took 13 s for
# 702 kB and 57.2 dB.
_HEIC_OPTIONS = {"chroma": "444", "enc_params": {"preset": "ultrafast"}}
_FORMATS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".png": _Format("PNG", 2**31 - 1),
    ".heic": _Format("HEIF", 16384, MappingProxyType(_HEIC_OPTIONS)),
    ".webp": _Format("WEBP", 16383),
}
# How files begin that are photos, though perhaps damaged ones.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"II*\0", b"MM\0*", b"BM")


def read_photo(path: str | Path) -> Photo:
    """Read a JPEG, PNG, HEIC, WebP, TIFF or BMP photo; of several pictures in the file, the main one.

    Values are taken as they are: those of a Display P3 photo stay Display P3, its profile says so when they are
    written again. Grey, CMYK, palette, transparent and 16-bit pictures become 8-bit RGB (see `colour_modes`). The
    orientation is EXIF's, in HEIC the container's. A TIFF's EXIF is applied but not kept.

    Raises:
        DofkitError: missing, empty, damaged, cut short, not a picture, or with more pixels than Pillow deems safe.
    """
    path = Path(path)
    image = load_image(path)
    pixels, icc_profile = rgb_pixels(image, str(path))
    exif = _exif_block(image)
    pixels = oriented(pixels, orientation_of(exif))
    height, width = pixels.shape[:2]
    return Photo(pixels, exif_for(exif, width, height), icc_profile, xmp_for_reencoded(_xmp_packet(image)), path)


def write_photo(path: str | Path, pixels: NDArray[np.uint8], like: Photo | None = None, quality: int = 95) -> None:
    """Write a photo whole or not at all, in the format that the suffix names: .jpg .jpeg .png .heic .webp.

    Args:
        path: where to; a file that is there is replaced.
        pixels: uint8 `[H, W, 3]`, upright.
        like: the photo whose EXIF, ICC profile and XMP the file takes over, as far as the format can hold them.
        quality: 1 to 100, of the lossy formats.

    Raises:
        DofkitError: another suffix, more pixels a side than the format allows, or a place that cannot be written.
        ValueError: `pixels` or `quality` are not as described.
    """
    path = Path(path)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(f"pixels are to be uint8 [H, W, 3], not {pixels.dtype} {list(pixels.shape)}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is 1 to 100, not {quality}")
    form = _format_for(path, *pixels.shape[:2])
    options = {"quality": quality, **form.options, **_metadata(form, pixels, like)}
    buffer = io.BytesIO()
    try:
        Image.fromarray(pixels).save(buffer, form.name, **options)
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        raise DofkitError(f"{path}: cannot be written as {form.name} ({_line(error)}); write a .png instead") from error
    write_file(path, buffer.getvalue())


def check_goal(path: str | Path, height: int, width: int) -> None:
    """Refuse before a long computation what `write_photo` would refuse after it.

    Args:
        path: where the photo is to go.
        height, width: its size in pixels.

    Raises:
        DofkitError: as `write_photo`.
    """
    path = Path(path)
    _format_for(path, height, width)
    check_folder(path)


def load_image(path: Path) -> Image.Image:
    """Decode a picture file with Pillow, or say in one line why not.

    Raises:
        DofkitError: as `read_photo`.
    """
    data = read_file(path)
    try:
        return decode(data)
    except (Image.DecompressionBombError, MemoryError) as error:
        raise DofkitError(f"{path}: has too many pixels to be read ({_line(error)}); scale it down first") from error
    except UnidentifiedImageError as error:
        if data.startswith(_SIGNATURES) or data[4:8] == b"ftyp":
            raise DofkitError(f"{path}: is damaged or cut short; copy it again from where it came") from error
        raise DofkitError(f"{path}: is not a photo; name a JPEG, PNG, HEIC, WebP, TIFF or BMP file") from error
    except Exception as error:  # decoders meet damaged files with errors of many kinds; none is of use to the user
        raise DofkitError(
            f"{path}: is damaged or cut short ({_line(error)}); copy it again from where it came"
        ) from error


def decode(data: bytes) -> Image.Image:
    """The loaded picture in the bytes of a file; on damage raises whatever Pillow and its decoders raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on odd metadata and on large pictures: nothing a user has to act on
        image = Image.open(io.BytesIO(data))
        image.load()
    return image


def _format_for(path: Path, height: int, width: int) -> _Format:
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise DofkitError(f"{path}: photos are written as {', '.join(_FORMATS)}; choose one of these suffixes")
    if max(height, width) > form.longest_side:
        raise DofkitError(
            f"{path}: {form.name} holds at most {form.longest_side} pixels a side, this photo has {width}×{height}; "
            "write a .png instead"
        )
    return form


def _metadata(form: _Format, pixels: NDArray[np.uint8], like: Photo | None) -> dict[str, Any]:
    """Options of Pillow's `save` that put the photo's metadata into a file of this format."""
    if like is None:
        return {}
    height, width = pixels.shape[:2]
    found = {
        "exif": form.holds(exif_for(like.exif, width, height)),
        "icc_profile": like.icc_profile,
        "xmp": form.holds(like.xmp),
    }
    options: dict[str, Any] = {key: value for key, value in found.items() if value is not None}
    if form.name == "PNG" and "xmp" in options:
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode("utf-8"))
    return options


def _exif_block(image: Image.Image) -> bytes | None:
    block = image.info.get("exif")
    return None if not block else HEADER + block.removeprefix(HEADER)


def _xmp_packet(image: Image.Image) -> bytes | None:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")  # the latter: PNG before Pillow 11
    return packet.encode("utf-8") if isinstance(packet, str) else packet


def _line(error: Exception) -> str:
    """The first line of an error's text, or its kind where it says nothing."""
    return first_line(error).rstrip(".")

"""The formats that photos are written in, and what each can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import DofkitError
from ..files import check_folder


@dataclass(frozen=True)
class Keep:
    """What of a photo is kept beyond 8-bit RGB.

    Attributes:
        alpha: transparency; else the photo is laid over white.
        sixteen_bits: 16 bits a channel where the file has more than 8; else they are rounded to 8.
    """

    alpha: bool = False
    sixteen_bits: bool = False


@dataclass(frozen=True)
class Format:
    """A format of photos.

    Attributes:
        name: as Pillow calls it.
        longest_side: in pixels.
        keep: what it holds beyond 8-bit RGB.
        options: of Pillow's `save`.
        longest_metadata: bytes of one block of metadata; None: no limit.
    """

    name: str
    longest_side: int
    keep: Keep = Keep()
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    longest_metadata: int | None = None


# Colour at full resolution (4:4:4): halved chroma bleeds over the edges that a rendering keeps sharp. WebP has 4:2:0
# only. A JPEG segment ends at 65535 bytes, its length and signature included.
_JPEG = Format("JPEG", 65535, options=MappingProxyType({"subsampling": 0}), longest_metadata=65500)
# On 2 MP of a phone photo x265's ultrafast took 1.1 s, wrote 794 kB and kept 58.3 dB; its default, slow, took 13 s for
# 702 kB and 57.2 dB.
_HEIC_OPTIONS = {"chroma": "444", "enc_params": {"preset": "ultrafast"}}
_FORMATS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".png": Format("PNG", 2**31 - 1, Keep(alpha=True, sixteen_bits=True)),
    ".heic": Format("HEIF", 16384, Keep(alpha=True), MappingProxyType(_HEIC_OPTIONS)),
    # exact: or the colours of transparent pixels are thrown away
    ".webp": Format("WEBP", 16383, Keep(alpha=True), MappingProxyType({"exact": True})),
}
# Kinds of files that are read but not written, and lose nothing in a PNG.
_LOSSLESS = (".tif", ".tiff", ".bmp", ".gif", ".ppm")
_READ = {*_FORMATS, *_LOSSLESS, ".heif", ".avif", ".jpe", ".jfif", ".dib", ".jp2"}


def format_of(path: Path) -> Format:
    """The format that a file's suffix names.

    Raises:
        DofkitError: it names none that is written.
    """
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        named = f"the suffix {path.suffix}" if path.suffix else "no suffix"
        raise DofkitError(f"{path}: has {named}; photos are written as {', '.join(_FORMATS)}: end the name with one")
    return form


def is_photo_name(name: str) -> bool:
    """Whether a file of this name may be a photo that is read; hidden files, such as macOS leaves beside photos on
    memory cards, are none."""
    return not name.startswith(".") and Path(name).suffix.lower() in _READ


def written_suffix(photo: Path) -> str:
    """The suffix of a portrait of this photo: the photo's own, or that of the nearest format that is written."""
    if photo.suffix.lower() in _FORMATS:
        return photo.suffix
    return ".png" if photo.suffix.lower() in _LOSSLESS else ".jpg"


def goal_beside(photo: Path) -> Path:
    """Where a portrait goes when nobody says: beside the photo, as `NAME_portrait`, in the photo's own format, or the
    nearest that is written."""
    return photo.with_name(f"{photo.stem}_portrait{written_suffix(photo)}")


def check_goal(path: str | Path, height: int, width: int) -> None:
    """Refuse before a long computation what `write_photo` would refuse after it.

    Args:
        path: where the photo is to go.
        height, width: its size in pixels.

    Raises:
        DofkitError: as `write_photo`.
    """
    path = Path(path)
    check_fits(format_of(path), path, height, width)
    check_folder(path)


def check_fits(form: Format, path: Path, height: int, width: int) -> None:
    """Refuse a photo with more pixels a side than its format allows.

    Raises:
        DofkitError: with a format that has room.
    """
    if max(height, width) > form.longest_side:
        raise DofkitError(
            f"{path}: {form.name} holds at most {form.longest_side} pixels a side, this photo has {width}×{height}; "
            "write a .png instead"
        )

"""From whatever mode a picture file is stored in to 8-bit RGB. Files and metadata are not known here."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from ..errors import DofkitError

# ICC.1:2022, 7.2.8: the colour space signature of a profile's header.
_SPACE = slice(16, 20)
_STRIP_ROWS = 256
_SPACE_OF_MODE = {"L": b"GRAY", "CMYK": b"CMYK"}


def rgb_pixels(image: Image.Image, name: str, over_white: bool = True) -> tuple[NDArray[np.uint8], bytes | None]:
    """The pixels as 8-bit RGB, and the profile they are to be read with.

    RGB pictures keep their values and their profile: Display P3 stays Display P3. CMYK and grey pictures with a
    profile of their own are converted to sRGB. 16-bit grey is rounded to 8 bits; of 16-bit RGB, Pillow keeps the high
    byte.

    Args:
        image: a loaded picture.
        name: what an error calls it.
        over_white: whether what is transparent is laid over white, as a page would show it; else its alpha is dropped,
            see `alpha_of`.

    Returns:
        uint8 `[H, W, 3]`, an array of its own, and the RGB ICC profile, or None for sRGB.

    Raises:
        DofkitError: a mode that does not say which value is white (float, 32-bit integers) or has no way to RGB.
    """
    profile = image.info.get("icc_profile")
    space = profile[_SPACE] if profile else None
    if image.mode.startswith("I"):
        grey = np.rint(sixteen_bit_grey(image, name) / 257.0).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2), None
    if image.mode == "F":
        raise DofkitError(f"{name}: holds floating-point pixels; convert it to 8 or 16 bits a channel")
    if _has_alpha(image):
        rgb = _over_white(image) if over_white else image.convert("RGBA").convert("RGB")
    elif profile and space == _SPACE_OF_MODE.get(image.mode):
        rgb = _managed(image, profile)
    else:
        rgb = _plain(image, name)
    return _array(rgb), profile if space == b"RGB " else None


def _array(image: Image.Image) -> NDArray[np.uint8]:
    """Of an RGB picture, `[H, W, 3]`: by strips, since `np.asarray` has it three times in memory for a while."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _STRIP_ROWS):
        strip = image.crop((0, top, image.width, min(top + _STRIP_ROWS, image.height)))
        pixels[top : top + _STRIP_ROWS] = np.asarray(strip)
    return pixels


def sixteen_bit_grey(image: Image.Image, name: str) -> NDArray[np.uint16]:
    """The values, `[H, W]`, of a grey picture stored in more than 8 bits (Pillow's `I` modes).

    Raises:
        DofkitError: values outside 0 to 65535.
    """
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise DofkitError(f"{name}: holds values outside 0 to 65535; convert it to 16 bits a channel")
    return values.astype(np.uint16, copy=False)


def alpha_of(image: Image.Image) -> NDArray[np.uint8] | None:
    """Opacity, `[H, W]` with 255 = opaque, of a loaded picture that is transparent somewhere; else None."""
    if not _has_alpha(image) or image.mode.startswith(("I", "F")):
        return None
    alpha = np.array(image.convert("RGBA").getchannel("A"))
    return alpha if alpha.min() < 255 else None


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "RGBa", "LA", "PA") or "transparency" in image.info


def _over_white(image: Image.Image) -> Image.Image:
    picture = image.convert("RGBA")
    paper = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(paper, picture).convert("RGB")


def _managed(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):  # a damaged profile is no reason to refuse the photo
        converted = None
    return converted or image.convert("RGB")


def _plain(image: Image.Image, name: str) -> Image.Image:
    try:
        return image if image.mode == "RGB" else image.convert("RGB")
    except ValueError as error:
        raise DofkitError(f"{name}: has colour mode {image.mode}, which has no way to RGB; convert it first") from error

"""Disparity maps as files: values in [0, 1], 1 = nearest. Maps embedded in photos are read in `embedded_depth`."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..errors import DofkitError
from ..files import write_file
from .colour_modes import sixteen_bit_grey
from .exif import orientation_of, oriented
from .opening import load_image

# The text chunk by which our own maps say that they hold disparity.
DECLARED = "dofkit disparity"
# Grey maps that phone apps store as colour JPEGs differ by up to 9 between channels; false colours differ by 100.
_CHROMA_ROUNDING = 16


def read_disparity(path: str | Path) -> NDArray[np.float32]:
    """Read a disparity map from an 8- or 16-bit grey picture, PNG as a rule.

    Values are divided by the largest the file can hold (255 or 65535), never stretched: 0.4 stays 0.4 in a map that
    goes from 0.3 to 0.5. The file is taken to hold disparity; of a map where far is bright, the caller takes `1 - d`.

    Returns:
        float32 `[H, W]` in [0, 1], 1 = nearest, EXIF orientation applied.

    Raises:
        DofkitError: not readable, in colour, transparent, or in a mode other than 8- and 16-bit grey.
    """
    path = Path(path)
    image = load_image(path)
    return oriented(grey_values(image, str(path)), orientation_of(image.info.get("exif")))


def write_disparity(path: str | Path, disparity: NDArray[np.floating]) -> None:
    """Write a disparity map as a 16-bit grey PNG, whole or not at all.

    Args:
        path: where to, with the suffix .png.
        disparity: `[H, W]` in [0, 1], 1 = nearest; the file holds it to half of 1/65535.

    Raises:
        DofkitError: another suffix, values that are NaN or outside [0, 1], or a place that cannot be written.
        ValueError: not a `[H, W]` array.
    """
    path = Path(path)
    if disparity.ndim != 2 or disparity.size == 0:
        raise ValueError(f"a disparity map is [H, W], not {list(disparity.shape)}")
    if path.suffix.lower() != ".png":
        raise DofkitError(f"{path}: disparity maps are written as 16-bit PNG; end the name with .png")
    if not (disparity.min() >= 0 and disparity.max() <= 1):  # NaN fails both comparisons
        raise DofkitError(f"{path}: the disparity holds NaN or values outside 0 to 1; normalise it before writing")
    buffer, said = io.BytesIO(), PngInfo()
    said.add_text(DECLARED, "1 is nearest")
    Image.fromarray(_sixteen_bits(disparity)).save(buffer, "PNG", pnginfo=said)
    write_file(path, buffer.getvalue())


def _sixteen_bits(disparity: NDArray[np.floating]) -> NDArray[np.uint16]:
    stored = np.empty(disparity.shape, np.uint16)
    for row, values in zip(stored, disparity, strict=True):  # a map of 48 megapixels has no room for a float copy
        row[:] = np.rint(values.astype(np.float64) * 65535)
    return stored


def grey_values(image: Image.Image, name: str) -> NDArray[np.float32]:
    """The values of a grey picture in [0, 1], float32 `[H, W]`, divided by the largest its mode can hold.

    Raises:
        DofkitError: in colour, transparent, or in a mode whose largest value is not known.
    """
    if image.mode.startswith("I"):
        return _divided(sixteen_bit_grey(image, name), 65535)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() < 255:
            raise DofkitError(f"{name}: has transparent pixels, a disparity map has a value everywhere; fill them")
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise DofkitError(f"{name}: has colour mode {image.mode}; store the disparity as 8- or 16-bit grey PNG")
    if image.mode not in ("1", "L"):
        channels = np.asarray(image.convert("RGB"))
        red, green, blue = channels[..., 0], channels[..., 1], channels[..., 2]
        # by pairs: a reduction over three channels is ten times slower
        spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
        if int(spread.max()) > _CHROMA_ROUNDING:
            raise DofkitError(
                f"{name}: is in colour, a disparity map is grey with 1 = nearest; store it as 8- or 16-bit grey PNG"
            )
    return _divided(np.asarray(image.convert("L")), 255)


def _divided(values: NDArray[np.unsignedinteger], largest: int) -> NDArray[np.float32]:
    return np.divide(values, np.float32(largest), dtype=np.float32)

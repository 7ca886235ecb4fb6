"""The depth map that a phone stores inside a portrait photo: Apple's (JPEG, HEIC), Google's GDepth and Dynamic Depth
(JPEG).

Metadata that is damaged or not understood means "no depth", never a guess: a wrong map ruins the photo, without one
the depth network is asked.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pillow_heif
from numpy.typing import NDArray

from ..errors import DofkitError
from ..files import read_file
from . import dynamic_depth, jpeg
from .disparity import grey_values
from .exif import orientation_of, oriented
from .opening import decode
from .xmp import NOTE, xmp_property

_APPLE = "http://ns.apple.com/pixeldatainfo/1.0/"
_GDEPTH = "http://ns.google.com/photos/1.0/depthmap/"

Map = NDArray[np.float32]


def embedded_disparity(path: str | Path) -> Map | None:
    """The disparity map embedded in a photo, over the same upright pixels as `read_photo` gives, at its own size.

    Returns:
        float32 `[h, w]`, stretched to fill [0, 1], 1 = nearest (all 0 where the map is constant); None where the photo
        has no map or none that can be told apart from damage.

    Raises:
        DofkitError: the file cannot be read, or is a HEIC whose container is damaged.
    """
    path = Path(path)
    data = read_file(path)
    if data.startswith(jpeg.START):
        disparity = _from_jpeg(data)
    elif data[4:8] == b"ftyp":
        disparity = _from_heif(data, path)
    else:
        disparity = None
    return None if disparity is None else _stretched(disparity)


def _from_jpeg(data: bytes) -> Map | None:
    photo, *others = jpeg.jpeg_pictures(data)
    candidates = (_apple_disparity(data[other.start : other.end], other.xmp) for other in others if other.xmp)
    stored = next((found for found in candidates if found is not None), None)
    if stored is None:
        stored = _google_disparity(photo)
    if stored is None:
        stored = _dynamic_disparity(data, photo)
    # The map is stored as the sensor saw it, like the photo, and carries no orientation of its own.
    return None if stored is None else oriented(stored, orientation_of(photo.exif))


def _apple_disparity(picture: bytes, xmp: bytes) -> Map | None:
    """The map in an auxiliary picture (apdi: AuxiliaryImageType `disparity` in 1/m, or `depth` in m)."""
    kind = xmp_property(xmp, _APPLE, "AuxiliaryImageType")
    matte = xmp_property(xmp, _APPLE, "AuxiliaryImageSubType") is not None  # mattes call themselves depth, too
    if matte or kind not in ("disparity", "depth"):
        return None
    values = _picture_values(picture)
    if values is None or kind == "disparity":
        return values
    nearest, farthest = (_number(xmp_property(xmp, _APPLE, f"Float{end}Value")) for end in ("Min", "Max"))
    return _inverse_of_range(values, nearest, farthest)


def _google_disparity(photo: jpeg.JpegPicture) -> Map | None:
    """The map in a GDepth property, whose value 0 is near and 1 is far (Google, Depthmap Metadata, "Encoding")."""
    packets = [photo.xmp] if photo.xmp else []
    extension = photo.extended_xmp(xmp_property(photo.xmp, NOTE, "HasExtendedXMP") or "") if photo.xmp else None
    packets += [extension] if extension else []
    properties = {
        name: next(filter(None, (xmp_property(packet, _GDEPTH, name) for packet in packets)), None)
        for name in ("Data", "Format", "Near", "Far")
    }
    return _of_range(_picture_values(_from_base64(properties["Data"] or "")), properties)


def _dynamic_disparity(data: bytes, photo: jpeg.JpegPicture) -> Map | None:
    """The map in a file of its own after the photo (Google, Dynamic Depth 1.0, "DepthMap")."""
    stored = dynamic_depth.depth_file(data, photo)
    if stored is None or photo.xmp is None:
        return None
    names = ("Format", "Near", "Far")
    properties = {name: xmp_property(photo.xmp, dynamic_depth.DEPTH_MAP, name) for name in names}
    return _of_range(_picture_values(stored), properties)


def _of_range(values: Map | None, properties: Mapping[str, str | None]) -> Map | None:
    """Disparity of Google's values, which run from 0 at `Near` to 1 at `Far` in the way that `Format` names."""
    if values is None:
        return None
    if properties["Format"] == "RangeLinear":
        return _inverse_of_range(values, _number(properties["Near"]), _number(properties["Far"]))
    # RangeInverse, the default: the value is (1/near - 1/d) / (1/near - 1/far), linear in disparity.
    return 1 - values if properties["Format"] in (None, "RangeInverse") else None


def _from_heif(data: bytes, path: Path) -> Map | None:
    try:
        depth_images = pillow_heif.open_heif(io.BytesIO(data)).info.get("depth_images", [])
        if not depth_images:
            return None
        # Turned by libheif as the container says, like the photo.
        picture = depth_images[0].to_pillow()
    except Exception as error:  # libheif's errors come as many kinds
        raise DofkitError(f"{path}: is damaged or cut short; copy it again from where it came") from error
    return heif_disparity(grey_values(picture, str(path)), depth_images[0].info.get("metadata") or {})


def heif_disparity(values: Map, metadata: Mapping[str, float]) -> Map | None:
    """Disparity, up to scale, from a HEIF depth image and its depth representation (ITU-T H.265, F.14.3.8).

    Args:
        values: `[h, w]` in [0, 1].
        metadata: `representation_type` 0 = uniform inverse depth, 1 = uniform disparity, 2 = uniform depth between
            `z_near` and `z_far`, 3 = disparity over a table that libheif does not hand out; without it: disparity.

    Returns:
        The map, or None for a representation that cannot be converted.
    """
    representation = metadata.get("representation_type", 1)
    if representation in (0, 1):
        return values
    if representation == 2:
        return _inverse_of_range(values, metadata.get("z_near"), metadata.get("z_far"))
    return None


def _inverse_of_range(values: Map, nearest: float | None, farthest: float | None) -> Map | None:
    """1 / depth, where values in [0, 1] run linearly from the nearest depth to the farthest."""
    if nearest is None or farthest is None or not 0 < nearest < farthest < math.inf:
        return None
    return 1 / (np.float32(nearest) + values * np.float32(farthest - nearest))


def _picture_values(picture: bytes) -> Map | None:
    try:
        image = decode(picture)
        return grey_values(image if image.mode.startswith("I") else image.convert("L"), "embedded depth map")
    except Exception:  # as decoders meet damage: errors of many kinds, all of them meaning that there is no map
        return None


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _stretched(disparity: Map) -> Map | None:
    farthest, nearest = disparity.min(), disparity.max()
    if not np.isfinite([farthest, nearest]).all():
        return None
    return (disparity - farthest) / max(nearest - farthest, np.finfo(np.float32).tiny)

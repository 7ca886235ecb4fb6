"""A program's inputs out of files, numbers and seeds, and its outputs into files.

Photos and maps in, photos and maps out; what an input means to a network is not known here, only its type and shape.
"""

from __future__ import annotations

import gzip
import io
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from ..errors import DofkitError, first_line
from ..files import read_file, write_file
from ..imageio import read_disparity, read_photo, write_disparity, write_photo
from ..pipeline.pyramid import as_float
from ..pipeline.resampling import resize
from .arrays import Array
from .elements import Element, Kind
from .features import ColorSpace, Feature, FeatureKind, span_words
from .fitting import refuse_huge

_NPY = (".npy", ".npy.gz")
_SAFETENSORS = ".safetensors"
_PIXEL_MAX = 255


def gather_inputs(
    features: Sequence[Feature], sources: Mapping[str, str], seed: int | None = None, stretch: bool = False
) -> dict[str, Array]:
    """A value for each input that needs one, as `MLProgram.run` takes it.

    Args:
        features: the program's inputs.
        sources: input -> a photo, `.npy`, `.npy.gz`, `FILE.safetensors#TENSOR`, or a number that fills it.
        seed: what fills the inputs that have no source; they are an error without.
        stretch: whether a photo of another size is resized.

    Raises:
        DofkitError: a source is for no input, an input has no source, or a file does not fit its input.
    """
    names = [feature.name for feature in features]
    if extra := [name for name in sources if name not in names]:
        raise DofkitError(f"there is no input {extra[0]!r}; the program takes {', '.join(names)}")
    needed = [feature for feature in features if feature.name in sources or not feature.optional]
    missing = [str(feature) for feature in needed if feature.name not in sources]
    if missing and seed is None:
        raise DofkitError(
            f"no value for {'; '.join(missing)}; give --input NAME=FILE or NAME=NUMBER, or fill them with --random SEED"
        )
    return {
        feature.name: read_input(feature, sources[feature.name], stretch)
        if feature.name in sources
        else random_input(feature, seed or 0)
        for feature in needed
    }


def random_input(feature: Feature, seed: int) -> Array:
    """Noise for an input: uniform in [0, 1], in steps of 1/255 so that images hold it too; 0 and 1 for integers.

    The same name, shape and seed give the same numbers.
    """
    rng = np.random.default_rng([seed, zlib.crc32(feature.name.encode())])
    if feature.element.kind is not Kind.FLOAT and feature.color is None:
        return rng.integers(0, 2, feature.shape).astype(feature.element.storage)
    return _from_unit(feature, rng.integers(0, _PIXEL_MAX + 1, feature.shape) / _PIXEL_MAX)


def read_input(feature: Feature, source: str, stretch: bool = False) -> Array:
    """The value of an input from a file, or filled with a number.

    A photo becomes RGB for three channels, grey for one (see `read_disparity`). Photos and numbers are in [0, 1],
    which is 0 … 255 of an image input; arrays are taken as they are.

    Raises:
        DofkitError: the file cannot be read, or does not fit the input.
    """
    number = _number(source)
    if number is not None:
        return _filled(feature, number)
    file, _, key = source.partition("#")
    if source.lower().endswith(_NPY):
        array = _read_npy(Path(source))
    elif file.lower().endswith(_SAFETENSORS):
        array = _read_safetensors(Path(file), key)
    else:
        return _from_picture(feature, Path(source), stretch)
    try:
        feature.to_program(array)
    except DofkitError as error:
        raise DofkitError(f"{source} holds {array.dtype} {list(array.shape)}: {error}") from error
    return array


def write_output(path: Path, feature: Feature, value: Any) -> None:
    """Write an output: `.npy` as it is; else as a picture, what is beyond [0, 1] cut off.

    Maps of one channel are 16-bit PNG.

    Raises:
        DofkitError: the output is no picture, is not finite, or the file cannot be written.
    """
    if path.suffix.lower() == ".npy" and feature.kind in (FeatureKind.TENSOR, FeatureKind.IMAGE):
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(value), allow_pickle=False)
        write_file(path, buffer.getvalue())
        return
    if not is_picture(feature, value):
        raise DofkitError(
            f"{path}: the output {feature} cannot be written so; write arrays as .npy, finite pictures as .png"
        )
    picture = _unit_picture(feature, value)
    if picture.ndim == 2:
        write_disparity(path, picture)
    else:
        write_photo(path, np.rint(picture * _PIXEL_MAX).astype(np.uint8))


def file_names(feature: Feature, value: Any) -> list[str]:
    """The files that hold an output in a folder: an array's .npy, and a .png if it is a picture.

    The output's name comes from the package, so it may be no path: other signs than letters, digits, _ and - become _.
    """
    stem = re.sub(r"[^\w-]", "_", feature.name)
    array = [f"{stem}.npy"] if feature.kind in (FeatureKind.TENSOR, FeatureKind.IMAGE) else []
    return array + ([f"{stem}.png"] if is_picture(feature, value) else [])


def is_picture(feature: Feature, value: Any) -> bool:
    """Whether an output can be looked at: an image, or finite floats `[1, 3, H, W]` or `[1, 1, H, W]`."""
    if feature.kind is FeatureKind.IMAGE:
        return bool(np.isfinite(value).all())
    if feature.kind is not FeatureKind.TENSOR:
        return False
    array = np.asarray(value)
    looks = array.ndim == 4 and array.shape[0] == 1 and array.shape[1] in (1, 3) and min(array.shape[2:]) > 1
    return looks and array.dtype.kind == "f" and bool(np.isfinite(array).all())


def _filled(feature: Feature, number: float) -> Array:
    if feature.color is not None:
        if not 0 <= number <= 1:
            raise DofkitError(f"the input {feature} cannot be filled with {number:g}; give 0 (black) to 1 (white)")
        return _from_unit(feature, np.full(feature.shape, number))
    if feature.element.kind is Kind.FLOAT:
        return np.full(feature.shape, number)
    feature.to_program(np.full(feature.shape, number))
    return np.full(feature.shape, int(number), feature.element.storage)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _read_npy(path: Path) -> Array:
    data = read_file(path)
    try:
        with gzip.open(io.BytesIO(data)) if path.suffix.lower() == ".gz" else io.BytesIO(data) as stream:
            return _parse_npy(stream, path)
    except DofkitError:
        raise
    except Exception as error:  # numpy's parser of headers and gzip meet damage with errors of many kinds
        raise DofkitError(f"{path}: is no plain .npy array ({first_line(error)}); save it with numpy.save") from error


def _parse_npy(stream: Any, path: Path) -> Array:
    """An array out of a stream; what its header declares is compared with the bytes that are there."""
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"its format is {version[0]}.{version[1]}, not 1.0 or 2.0")
    shape, turned, dtype = readers[version](stream)
    if dtype.hasobject or dtype.itemsize == 0:
        raise ValueError(f"it holds {dtype}, not numbers")
    if any(size < 0 for size in shape):
        raise ValueError(f"its header declares the shape {list(shape)}")
    refuse_huge(shape, str(path))
    needed = math.prod(shape) * dtype.itemsize
    data = stream.read(needed)
    if len(data) != needed:
        raise ValueError(f"its header declares {needed} bytes, {len(data)} are there")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if turned else "C")


def _read_safetensors(path: Path, key: str) -> Array:
    try:
        tensors = load(read_file(path))
    except (SafetensorError, ValueError, KeyError) as error:
        raise DofkitError(f"{path}: is not a readable safetensors file ({error}); copy it again") from error
    if key not in tensors:
        raise DofkitError(
            f"{path}: holds {', '.join(sorted(tensors))}; name one as {path.name}#{min(tensors, default='')}"
        )
    return tensors[key]


def _from_picture(feature: Feature, path: Path, stretch: bool) -> Array:
    takes_channels = feature.kind in (FeatureKind.TENSOR, FeatureKind.IMAGE) and len(feature.shape) == 4
    if not takes_channels or feature.shape[0] != 1 or feature.shape[1] not in (1, 3):
        raise DofkitError(f"{path}: the input {feature} takes no picture; give an .npy file or a number")
    colour = feature.shape[1] == 3
    # A grey picture: its values as they are, in [0, 1], never a colour photo's luminance.
    pixels = as_float(read_photo(path).pixels) if colour else read_disparity(path)
    height, width = pixels.shape[:2]
    if not feature.admits((1, feature.shape[1], height, width)):
        goal = feature.shape[2], feature.shape[3]
        if not stretch:
            raise DofkitError(
                f"{path} is {width}×{height}, the input {feature.name} is {_picture_sizes(feature)}; scale the "
                "picture, or have it stretched with --resize"
            )
        pixels = resize(pixels, goal)
    return _from_unit(feature, (pixels.transpose(2, 0, 1) if colour else pixels[None])[None])


def _picture_sizes(feature: Feature) -> str:
    """The sizes of pictures that an input takes: "64×48", "64×48 or 96×32", "32…256×32…256"."""
    if feature.shapes:
        return " or ".join(f"{width}×{height}" for *_, height, width in feature.shapes)
    if feature.low:
        height, width = map(span_words, feature.low[2:], feature.high[2:])
        return f"{width}×{height}"
    return f"{feature.shape[3]}×{feature.shape[2]}"


def _from_unit(feature: Feature, planes: Array) -> Array:
    """RGB or grey planes `[1, C, H, W]` in [0, 1] as the program takes them."""
    if feature.color in (None, ColorSpace.GRAYSCALE_FLOAT16):
        return planes.astype(np.float16 if feature.element is Element.FLOAT16 else np.float32)
    if feature.color is ColorSpace.BGR:
        planes = planes[:, ::-1]
    return np.rint(planes * _PIXEL_MAX).astype(np.float32)


def _unit_picture(feature: Feature, value: Any) -> Array:
    """An output as `[H, W, 3]` or `[H, W]` in [0, 1]."""
    array = np.asarray(value, np.float32)
    if feature.kind is FeatureKind.IMAGE:
        unit = array if feature.color is ColorSpace.GRAYSCALE_FLOAT16 else array / _PIXEL_MAX
    else:
        unit = array[0, 0] if array.shape[1] == 1 else array[0].transpose(1, 2, 0)
    return np.clip(unit, 0, 1)

"""A picture file's bytes into a Pillow image: whole, and not larger than the machine can hold. What it shows is not
known here."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pillow_heif
from PIL import Image, UnidentifiedImageError

from ..errors import DofkitError, first_line
from ..files import read_file
from ..memory import physical_memory
from ..quiet import stderr_kept
from .damage import damage_of

pillow_heif.register_heif_opener()

# The formats that are opened. Pillow knows forty more, some of which start other programs.
_FORMATS = ("JPEG", "PNG", "HEIF", "AVIF", "WEBP", "TIFF", "BMP", "DIB", "GIF", "PPM", "JPEG2000")
# How files begin that are photos, though perhaps damaged ones.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"II*\0", b"MM\0*", b"BM", b"GIF8")
# A photo that is rendered takes its pixels (3), a disparity map as large (4), the result (3), the levels below (4) and
# the encoder's copy (3), in bytes a pixel.
_BYTES_PER_PIXEL = 17
# The largest phone sensors have 200 megapixels. What claims five times as many is a bomb or no photo.
_MOST_PIXELS = 1_000_000_000


class TooLargeError(DofkitError):
    """A picture with more pixels than this machine has memory for."""


def load_image(path: Path) -> Image.Image:
    """Decode a picture file with Pillow, or say in one line why not.

    Raises:
        DofkitError: missing, empty, damaged, cut short, not a picture, or too large for this machine.
    """
    return decode_file(read_file(path), path)


def decode_file(data: bytes, path: Path) -> Image.Image:
    """What `load_image` does with the bytes of a file; `path` is for its errors only."""
    with ThreadPoolExecutor(1) as beside:
        looking = beside.submit(damage_of, data)  # meanwhile: decoders do not hold the interpreter
        try:
            opened = open_image(data)  # what claims too many pixels is told so, whatever else is wrong with it
            decoded, damage = _loaded(opened), looking.result()
            if damage is None:
                return decoded
        except TooLargeError as error:
            raise DofkitError(f"{path}: {error}") from None
        except MemoryError as error:
            raise DofkitError(
                f"{path}: has too many pixels for the memory that is free; scale it down first"
            ) from error
        except UnidentifiedImageError as error:
            if not data.startswith(_SIGNATURES) and data[4:8] != b"ftyp":
                raise DofkitError(f"{path}: is not a photo; name a JPEG, PNG, HEIC, WebP, TIFF or BMP file") from error
            damage = looking.result() or "its beginning is not understood"
        except Exception as error:  # decoders meet damaged files with errors of many kinds; none is of use to the user
            damage = looking.result() or first_line(error).rstrip(".")
    raise DofkitError(f"{path}: is damaged or cut short ({damage}); copy it again from where it came")


def decode(data: bytes) -> Image.Image:
    """The loaded picture in the bytes of a file; on damage raises whatever Pillow and its decoders raise."""
    return _loaded(open_image(data))


def open_image(data: bytes) -> Image.Image:
    """The picture in the bytes of a file, its pixels not yet decoded.

    Not `Image.open`: that has a limit of its own, one for all of the process, which phone photos exceed.

    Raises:
        TooLargeError: more pixels than this machine has memory for.
        UnidentifiedImageError: of no known format.
    """
    with warnings.catch_warnings(), _pillows_limit_off():
        warnings.simplefilter("ignore")  # on odd metadata: nothing a user has to act on
        image = next(_candidates(data), None)
    if image is None:
        raise UnidentifiedImageError("no known format")
    check_size(image.width, image.height)
    return image


def pixels_of(path: Path) -> int:
    """How many pixels a picture file says it has; 0 where it cannot be opened. None is decoded."""
    try:
        image = open_image(read_file(path))
    except Exception:  # as many kinds as in `decode_file`; whoever reads the file is told
        return 0
    return image.width * image.height


def check_size(width: int, height: int, memory: int | None = None) -> None:
    """Refuse a picture that cannot be rendered in this machine's memory.

    Args:
        width, height: in pixels.
        memory: of the machine, in bytes. Default: as it is; 0 where the system does not tell.

    Raises:
        TooLargeError: with how much it would take, and what to do.
    """
    memory = physical_memory() if memory is None else memory
    needed = width * height * _BYTES_PER_PIXEL
    size = f"has {width}×{height} pixels, which take {needed / 1e9:.1f} GB to render"
    if memory and needed > memory:
        raise TooLargeError(f"{size}; this machine has {memory / 1e9:.1f} GB: scale the photo down first")
    if width * height > _MOST_PIXELS:
        raise TooLargeError(f"{size}; the limit is {_MOST_PIXELS // 10**6} megapixels: scale the photo down first")


def _candidates(data: bytes) -> Iterator[Image.Image]:
    Image.init()
    for name in _FORMATS:
        if name not in Image.OPEN:  # Pillow was built without it
            continue
        factory, accept = Image.OPEN[name]
        if accept is None or accept(data[:16]) is True:
            try:
                yield factory(io.BytesIO(data), "")
            except (SyntaxError, IndexError, TypeError, struct.error):  # how Pillow's readers say "not mine"
                continue


def _loaded(image: Image.Image) -> Image.Image:
    with warnings.catch_warnings(), _pillows_limit_off():
        warnings.simplefilter("ignore")
        if image.format == "TIFF":
            _load_tiff(image)
        else:
            image.load()
    return image


def _load_tiff(image: Image.Image) -> None:
    """Decode a TIFF. libtiff tells the terminal what is wrong with a file, and Pillow only that something is.

    Raises:
        OSError: with libtiff's reason, if there is one.
    """
    with stderr_kept() as said:
        try:
            image.load()
        except Exception as error:
            reason = next((line.strip() for line in said().splitlines() if line.strip()), "")
            raise OSError(reason or first_line(error)) from error


@contextmanager
def _pillows_limit_off() -> Iterator[None]:
    """Some of Pillow's readers, of WebP and TIFF, ask once more for the number of pixels, which `check_size` judges."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit

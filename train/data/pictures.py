"""Picture files as training reads them; one that cannot be read is named in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageOps

from ...runtime_ref.errors import DofkitError, first_line


@contextmanager
def opened(file: Path) -> Iterator[Image.Image]:
    """The picture of a file, to be decoded before the context ends.

    Raises:
        DofkitError: it cannot be read.
    """
    try:
        with Image.open(file) as image:
            yield image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DofkitError(f"{file} cannot be read as an image ({first_line(error)}); mend or remove it") from error


def read_rgb(file: Path) -> Image.Image:
    """In RGB, upright; raises as `opened` does."""
    with opened(file) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def read_grey(file: Path) -> Image.Image:
    """In 8-bit grey; raises as `opened` does."""
    with opened(file) as image:
        return image.convert("L")

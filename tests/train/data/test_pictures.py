"""Whoever reads pictures for training names the one that cannot be read, in one line."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.data.gan_photos import read_photos
from dofkit.train.data.sources import read_image, read_mask

BROKEN = ("no_image", "truncated")


@pytest.fixture(params=BROKEN)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file that is called a photo, beside a mask."""
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(stream, "JPEG")
    content = b"hello" if request.param == "no_image" else stream.getvalue()[: len(stream.getvalue()) // 2]
    path = tmp_path / "images" / "rose.jpg"
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    path.write_bytes(content)
    Image.new("L", (64, 64)).save(tmp_path / "masks" / "rose.png")
    return path


def square(file: Path) -> None:
    read_photos([file.parent], 16)


@pytest.mark.parametrize("read", [read_image, read_mask, square])
def test_a_broken_picture_is_named_in_one_line(file: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(DofkitError, match=r"rose\.jpg cannot be read as an image .*; mend or remove it") as raised:
        read(file)
    assert "\n" not in str(raised.value)

"""16 bits a channel go in and out whole, held against tifffile and against Pillow's high byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from dofkit.runtime_ref.imageio import Keep, Photo, read_photo, write_photo
from dofkit.runtime_ref.imageio.deep import deep_pixels, encode_png

DEEP = Keep(alpha=True, sixteen_bits=True)


def numbers(channels: int, height: int = 130, width: int = 77) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, 65536, (height, width, channels)).astype(np.uint16)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"byteorder": ">"}, {"rowsperstrip": 16}])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_tiff_of_another_writer_is_read_to_the_last_bit(tmp_path: Path, channels: int, options: dict) -> None:
    stored, options = numbers(channels), dict(options)
    order = options.pop("byteorder", "<")
    kinds = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    with tifffile.TiffWriter(tmp_path / "in.tif", byteorder=order) as file:
        file.write(stored.astype(order + "u2"), photometric="rgb", **kinds, **options)
    photo = read_photo(tmp_path / "in.tif", DEEP)
    np.testing.assert_array_equal(photo.pixels, stored[..., :3])
    if channels == 4:
        np.testing.assert_array_equal(photo.alpha, stored[..., 3])


@pytest.mark.parametrize("channels", [3, 4])
def test_a_png_is_written_so_that_pillow_reads_its_high_bytes_and_we_read_all(channels: int, tmp_path: Path) -> None:
    stored = numbers(channels)
    (tmp_path / "out.png").write_bytes(encode_png(stored))
    with Image.open(tmp_path / "out.png") as image:
        np.testing.assert_array_equal(np.asarray(image), stored >> 8)
    np.testing.assert_array_equal(deep_pixels((tmp_path / "out.png").read_bytes()), stored)


def test_grey_of_16_bits_becomes_colour_of_16_bits(tmp_path: Path) -> None:
    stored = numbers(1)[..., 0]
    Image.fromarray(stored).save(tmp_path / "in.png")
    photo = read_photo(tmp_path / "in.png", DEEP)
    assert photo.notes == ()
    np.testing.assert_array_equal(photo.pixels, np.repeat(stored[..., None], 3, axis=2))


def test_metadata_and_alpha_go_into_a_png_of_16_bits(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    profile, xmp = b"p" * 16 + b"RGB " + b"p" * 200, b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    pixels, alpha = numbers(3), numbers(1)[..., 0]
    like = Photo(pixels, b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0"), profile, xmp, tmp_path, alpha)
    assert write_photo(tmp_path / "out.png", pixels, like) == ()
    again = read_photo(tmp_path / "out.png", DEEP)
    assert again.icc_profile == profile
    assert again.xmp == xmp
    np.testing.assert_array_equal(again.alpha, alpha)
    with Image.open(tmp_path / "out.png") as image:
        assert image.getexif()[0x010F] == "Maker"


def test_16_bits_that_become_8_are_said_on_reading_and_on_writing(tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(encode_png(numbers(3)))
    photo = read_photo(tmp_path / "in.png")
    assert photo.pixels.dtype == np.uint8
    assert photo.notes == ("has 16 bits a channel, rendered are 8; a PNG or TIFF written as .png keeps them",)
    [note] = write_photo(tmp_path / "out.jpg", numbers(3))
    assert note == "JPEG holds 8 of the photo's 16 bits a channel; a .png holds them all"

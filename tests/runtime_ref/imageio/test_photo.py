"""Reading and writing photos: upright, nothing lost that still holds, one line for whatever is wrong."""

from __future__ import annotations

import io
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.imageio import Keep, Photo, read_photo, write_photo
from dofkit.runtime_ref.imageio.exif import oriented
from dofkit.runtime_ref.imageio.xmp import xmp_property

ORIENTATION, EXIF_IFD, WIDTH, HEIGHT, MAKE = 0x0112, 0x8769, 0xA002, 0xA003, 0x010F
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'
LOSSY = [".jpg", ".jpeg", ".heic", ".webp"]


def scene(height: int = 32, width: int = 48) -> np.ndarray:
    """A smooth picture with four different corners: every orientation of it looks different, codecs keep it well."""
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * x // width, 255 * y // height, np.full_like(x, 60)], axis=2).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, orientation: int | None = None, **options) -> Path:
    if orientation:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        exif[MAKE] = "Maker"
        exif.get_ifd(EXIF_IFD).update({WIDTH: pixels.shape[1], HEIGHT: pixels.shape[0]})
        options["exif"] = exif.tobytes()  # the HEIC encoder looks for the orientation in bytes only
    Image.fromarray(pixels).save(path, **options)
    return path


def difference(left: np.ndarray, right: np.ndarray) -> float:
    assert left.shape == right.shape
    return float(np.abs(left.astype(int) - right.astype(int)).mean())


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
def test_photo_is_read_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = save(tmp_path / f"photo{suffix}", scene(), orientation, quality=95)
    stored = Image.open(path)
    photo = read_photo(path)
    assert difference(photo.pixels, oriented(scene(), orientation)) < 3
    assert difference(photo.pixels, np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_turned_once_by_its_container(tmp_path: Path, orientation: int) -> None:
    # The encoder turns an EXIF orientation into the container's own transformation.
    photo = read_photo(save(tmp_path / "photo.heic", scene(), orientation, quality=95))
    assert difference(photo.pixels, oriented(scene(), orientation)) < 3


def test_photo_says_that_it_is_upright_and_how_large(tmp_path: Path) -> None:
    photo = read_photo(save(tmp_path / "photo.jpg", scene(32, 48), orientation=6))
    assert photo.exif is not None
    exif = Image.Exif()
    exif.load(photo.exif)
    assert exif[ORIENTATION] == 1
    assert exif[MAKE] == "Maker"
    assert (exif.get_ifd(EXIF_IFD)[WIDTH], exif.get_ifd(EXIF_IFD)[HEIGHT]) == (32, 48)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".heic", ".webp"])
def test_written_photo_keeps_metadata_and_is_read_upright_again(tmp_path: Path, suffix: str) -> None:
    photo = read_photo(save(tmp_path / "in.jpg", scene(), orientation=6, icc_profile=SRGB, xmp=XMP))
    write_photo(tmp_path / f"out{suffix}", photo.pixels, like=photo)
    again = read_photo(tmp_path / f"out{suffix}")
    assert difference(again.pixels, photo.pixels) < 2
    assert again.icc_profile == photo.icc_profile == SRGB
    assert again.exif == photo.exif
    assert again.xmp is not None


def test_exif_sizes_follow_the_pixels_that_are_written(tmp_path: Path) -> None:
    photo = read_photo(save(tmp_path / "in.jpg", scene(), orientation=1))
    write_photo(tmp_path / "out.jpg", scene(20, 10), like=photo)
    written = Image.open(tmp_path / "out.jpg").getexif().get_ifd(EXIF_IFD)
    assert (written[WIDTH], written[HEIGHT]) == (10, 20)


def test_png_is_lossless(tmp_path: Path) -> None:
    write_photo(tmp_path / "out.png", scene())
    np.testing.assert_array_equal(read_photo(tmp_path / "out.png").pixels, scene())


@pytest.mark.parametrize("suffix", [".jpg", ".heic"])
def test_colour_is_written_at_full_resolution(tmp_path: Path, suffix: str) -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2, 0] = 255
    stripes[:, 1::2, 2] = 255
    write_photo(tmp_path / f"out{suffix}", stripes)
    assert difference(read_photo(tmp_path / f"out{suffix}").pixels, stripes) < 8  # 4:2:0 is off by about 60


@pytest.mark.parametrize("suffix", LOSSY)
def test_quality_trades_size_for_likeness(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for quality in (20, 95):
        write_photo(tmp_path / f"{quality}{suffix}", noise, quality=quality)
    assert (tmp_path / f"20{suffix}").stat().st_size < (tmp_path / f"95{suffix}").stat().st_size


def test_an_xmp_packet_too_long_for_a_jpeg_segment_goes_on_in_further_ones(tmp_path: Path) -> None:
    words = b'<r:Description xmlns:d="urn:d" d:word="kept"/>'
    long = XMP.replace(b'#"/>', b'#"><!--' + b"x" * 190_000 + b"-->" + words + b"</r:RDF>")
    photo = Photo(scene(), None, None, long, tmp_path / "in.png")
    assert write_photo(tmp_path / "out.jpg", photo.pixels, like=photo) == ()
    write_photo(tmp_path / "out.png", photo.pixels, like=photo)
    again = read_photo(tmp_path / "out.jpg")
    assert again.notes == ()
    assert again.xmp is not None
    assert xmp_property(again.xmp, "urn:d", "word") == "kept"
    assert read_photo(tmp_path / "out.png").xmp == long


def block_with(values: dict[int, bytes], maker_note: bytes) -> bytes:
    exif = Image.Exif()
    exif[MAKE] = "Maker"
    exif.get_ifd(EXIF_IFD).update({0x927C: maker_note, 0x9003: "2026:11:28 12:00:00", **values})
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 15.5)})
    return exif.tobytes()


def test_of_exif_too_long_for_a_jpeg_the_maker_note_goes_and_is_named(tmp_path: Path) -> None:
    photo = Photo(scene(), block_with({}, bytes(range(256)) * 740), None, None, tmp_path / "in.heic")
    [note] = write_photo(tmp_path / "out.jpg", photo.pixels, like=photo)
    assert note == "JPEG holds 66 kB of EXIF, the photo has 190 kB: left out the maker note (189 kB)"
    assert write_photo(tmp_path / "out.png", photo.pixels, like=photo) == ()
    with Image.open(tmp_path / "out.jpg") as image:
        exif = image.getexif()
        assert exif[MAKE] == "Maker"
        assert exif.get_ifd(EXIF_IFD)[0x9003] == "2026:11:28 12:00:00"
        assert 0x927C not in exif.get_ifd(EXIF_IFD)
        assert tuple(map(float, exif.get_ifd(0x8825)[2])) == (52.0, 30.0, 15.5)


def test_of_exif_still_too_long_the_largest_values_go_until_it_fits(tmp_path: Path) -> None:
    values = {0x9286: b"ASCII\0\0\0" + b"u" * 80_000, 0xEA1C: bytes(2000)}
    photo = Photo(scene(), block_with(values, bytes(9000)), None, None, tmp_path / "in.heic")
    [note] = write_photo(tmp_path / "out.jpg", photo.pixels, like=photo)
    assert note.endswith("left out the maker note (9 kB), the user comment (80 kB)")
    with Image.open(tmp_path / "out.jpg") as image:
        assert len(image.getexif().get_ifd(EXIF_IFD)[0xEA1C]) == 2000


@pytest.mark.parametrize("suffix", [".png", ".webp", ".heic"])
def test_transparency_is_kept_where_the_format_has_it(tmp_path: Path, suffix: str) -> None:
    alpha = np.tile(np.linspace(0, 255, 48).astype(np.uint8), (32, 1))
    Image.fromarray(np.dstack([scene(), alpha])).save(tmp_path / "in.png")
    photo = read_photo(tmp_path / "in.png", Keep(alpha=True))
    np.testing.assert_array_equal(photo.pixels, scene())
    assert photo.notes == ()
    assert write_photo(tmp_path / f"out{suffix}", photo.pixels, like=photo, quality=100) == ()
    again = read_photo(tmp_path / f"out{suffix}", Keep(alpha=True))
    assert again.alpha is not None
    assert difference(again.alpha, alpha) < 1
    assert difference(again.pixels, scene()) < 8


def test_transparency_that_becomes_white_is_said(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([scene(), np.full((32, 48), 100, np.uint8)])).save(tmp_path / "in.png")
    photo = read_photo(tmp_path / "in.png")
    assert photo.alpha is None
    assert photo.notes == ("is transparent in places, which become white; a .png, .webp or .heic keeps them",)


def test_opaque_alpha_is_no_transparency(tmp_path: Path) -> None:
    Image.fromarray(scene()).convert("RGBA").save(tmp_path / "in.png")
    photo = read_photo(tmp_path / "in.png", Keep(alpha=True))
    assert (photo.alpha, photo.notes) == (None, ())


@pytest.mark.parametrize("frames", ["gif", "webp", "tiff"])
def test_of_several_frames_one_is_read_and_that_is_said(tmp_path: Path, frames: str) -> None:
    first, *others = (Image.fromarray(np.roll(scene(), 9 * k, axis=1)) for k in range(3))
    first.save(tmp_path / f"in.{frames}", save_all=True, append_images=others)
    assert "holds 3 pictures, rendered is one of them" in read_photo(tmp_path / f"in.{frames}").notes


@pytest.mark.parametrize("size", [(1, 1), (3, 20000), (20000, 3)])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_smallest_and_narrowest_photos_pass(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    write_photo(tmp_path / f"out{suffix}", scene(*size))
    assert read_photo(tmp_path / f"out{suffix}").pixels.shape == (*size, 3)


@pytest.mark.parametrize("suffix", [".heic", ".webp"])
def test_one_pixel_passes_in_the_other_formats(tmp_path: Path, suffix: str) -> None:
    write_photo(tmp_path / f"out{suffix}", scene(1, 1))
    assert read_photo(tmp_path / f"out{suffix}").pixels.shape == (1, 1, 3)


def test_of_a_file_with_several_pictures_the_first_is_read(tmp_path: Path) -> None:
    other = Image.fromarray(scene(8, 8))
    Image.fromarray(scene()).save(tmp_path / "two.jpg", "MPO", save_all=True, append_images=[other], quality=95)
    assert read_photo(tmp_path / "two.jpg").pixels.shape == scene().shape


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".heic", ".webp", ".tiff"])
def test_photo_cut_short_is_refused_in_one_line(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = save(tmp_path / f"photo{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DofkitError, match=r"photo\.\w+: is damaged or cut short.*; copy it again") as caught:
        read_photo(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"Dear diary, no photo today.", "is not a photo; name a JPEG"),
        (png_that_claims(60000, 60000), "60000×60000 pixels.*scale the photo down"),
        (b"\xff\xd8\xff", "damaged"),
    ],
)
def test_what_is_no_photo_is_refused_in_one_line(tmp_path: Path, content: bytes, line: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(DofkitError, match=line) as caught:
        read_photo(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="no such file"):
        read_photo(tmp_path / "none.jpg")
    with pytest.raises(DofkitError, match="is a folder"):
        read_photo(tmp_path)
    with pytest.raises(DofkitError, match="cannot be read"):
        read_photo("photo\0.jpg")


def test_unknown_suffix_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match=r"\.jpg, \.jpeg, \.png, \.heic, \.webp"):
        write_photo(tmp_path / "out.gif", scene())


def test_photo_too_long_for_its_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match=r"16383 pixels a side, this photo has 16384×1; write a \.png"):
        write_photo(tmp_path / "out.webp", scene(1, 16384))


def test_place_that_cannot_be_written_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(DofkitError, match="it is a folder"):
        write_photo(tmp_path / "folder.jpg", scene())
    with pytest.raises(DofkitError, match="there is no folder"):
        write_photo(tmp_path / "none" / "out.jpg", scene())
    (tmp_path / "file").touch()
    with pytest.raises(DofkitError, match="cannot be written"):
        write_photo(tmp_path / "file" / "out.jpg", scene())
    assert {entry.name for entry in tmp_path.iterdir()} == {"folder.jpg", "file"}


def test_failure_while_writing_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photo(tmp_path / "out.png", scene())
    before = (tmp_path / "out.png").read_bytes()

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", disk_full)
    with pytest.raises(DofkitError, match="No space left on device"):
        write_photo(tmp_path / "out.png", scene(4, 4))
    assert (tmp_path / "out.png").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("pixels", [scene().astype(np.float32), scene()[..., 0], scene()[:0]])
def test_pixels_that_are_not_8_bit_rgb_are_a_programming_error(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"uint16 \[H, W, 3\]"):
        write_photo(tmp_path / "out.png", pixels)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".heic", ".webp", ".tiff"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=60), at=st.floats(0, 1), alone=st.booleans())
def test_no_bytes_raise_anything_but_the_one_line(
    tmp_path: Path, suffix: str, noise: bytes, at: float, alone: bool
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene()).save(buffer, {".jpg": "JPEG", ".heic": "HEIF"}.get(suffix, suffix[1:]))
    whole = buffer.getvalue()
    place = int(at * len(whole))
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(noise if alone else whole[:place] + noise + whole[place + len(noise) :])
    with suppress(DofkitError):
        photo = read_photo(path)
        assert photo.pixels.dtype == np.uint8
        assert photo.pixels.ndim == 3

"""A damaged or cut photo is told from a whole one, whatever its format; whole ones are left alone."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.imageio import read_photo
from dofkit.runtime_ref.imageio.damage import damage_of

KINDS = ["JPEG", "progressive", "PNG", "HEIF", "tiles", "AVIF", "WEBP", "TIFF", "BMP"]
OPTIONS = {"progressive": {"progressive": True}, "tiles": {"tile_size": 64}}


def natural(height: int = 192, width: int = 256, seed: int = 0) -> np.ndarray:
    """Smooth shapes with texture, as photos have them: codecs spend bits on all of it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (9 + 7 * c) + seed) * np.cos(y / (12 + 5 * c)) for c in range(3)]
    picture = 128 + 80 * np.stack(waves, axis=2) + rng.normal(0, 9, (height, width, 3))
    return picture.clip(0, 255).astype(np.uint8)


def encoded(kind: str, pixels: np.ndarray | None = None, **options) -> bytes:
    buffer = io.BytesIO()
    name = {"progressive": "JPEG", "tiles": "HEIF"}.get(kind, kind)
    Image.fromarray(natural() if pixels is None else pixels).save(buffer, name, **OPTIONS.get(kind, {}), **options)
    return buffer.getvalue()


def assert_damaged(data: bytes, folder: Path) -> None:
    (folder / "photo.jpg").write_bytes(data)
    with pytest.raises(DofkitError, match=r"photo\.jpg: is damaged or cut short"):
        read_photo(folder / "photo.jpg")


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_photo_is_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "photo").write_bytes(encoded(kind))
    assert np.abs(read_photo(tmp_path / "photo").pixels.astype(int) - natural()).mean() < 12


@pytest.mark.parametrize("kind", KINDS)
def test_pillows_limit_of_pixels_is_not_ours(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo").write_bytes(encoded(kind))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert read_photo(tmp_path / "photo").pixels.shape == (192, 256, 3)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_what_libtiff_has_to_say_is_the_reason_and_does_not_reach_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(encoded("TIFF", compression="tiff_adobe_deflate"))
    (start, *_) = Image.open(io.BytesIO(data)).tag_v2[273]  # type: ignore[attr-defined]  # where its strips lie
    data[start : start + 2] = b"??"
    (tmp_path / "photo.tif").write_bytes(data)
    with pytest.raises(DofkitError, match=r"photo\.tif: is damaged or cut short \(ZIPDecode: .*header"):
        read_photo(tmp_path / "photo.tif")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.6, 0.9, 0.995])
def test_a_cut_photo_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    data = encoded(kind)
    assert_damaged(data[: int(len(data) * share)], tmp_path)


@pytest.mark.parametrize("kind", ["JPEG", "progressive", "PNG", "tiles"])
def test_a_photo_whose_rest_was_never_copied_is_refused(tmp_path: Path, kind: str) -> None:
    data = encoded(kind)  # as a download leaves it that reserves the space first
    kept = len(data) // 2
    assert_damaged(data[:kept] + bytes(len(data) - kept), tmp_path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("fill", [b"\x00", b"\xff", b"\x5a\x13\xc7"])
@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_a_photo_with_damaged_bytes_in_its_middle_is_refused(
    tmp_path: Path, kind: str, fill: bytes, place: float
) -> None:
    data = bytearray(encoded(kind))
    start = int(len(data) * place)
    data[start : start + 300] = (fill * 300)[:300]
    assert_damaged(bytes(data), tmp_path)


def test_one_wrong_bit_of_a_png_is_found() -> None:
    data = bytearray(encoded("PNG"))
    data[len(data) // 2] ^= 1
    assert damage_of(bytes(data)) == "the checksum of its chunk IDAT is wrong"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [1, 10, 50, 95])
def test_the_hardest_colours_are_no_damage(seed: int, subsampling: int, quality: int) -> None:
    rng = np.random.default_rng(seed)
    squares = np.kron(rng.integers(0, 2, (12, 16, 3)), np.ones((8 + 5 * seed, 8 + 3 * seed, 1)))
    data = encoded("JPEG", (255 * squares).astype(np.uint8), quality=quality, subsampling=subsampling)
    assert damage_of(data) is None


def test_zeros_before_the_end_of_a_jpeg_are_no_damage() -> None:
    data = encoded("JPEG")
    assert damage_of(data[:-2] + bytes(40) + data[-2:]) is None


def test_bytes_after_the_photo_are_no_damage() -> None:
    for kind in ("JPEG", "PNG"):
        assert damage_of(encoded(kind) + b"a trailer of the camera's maker") is None


def test_grey_and_cmyk_jpegs_are_judged_too() -> None:
    for mode in ("L", "CMYK"):
        buffer = io.BytesIO()
        Image.fromarray(natural()).convert(mode).save(buffer, "JPEG")
        data = buffer.getvalue()
        assert damage_of(data) is None
        assert damage_of(data[: len(data) // 2] + data[-2:]) is not None


def test_a_heic_whose_items_lie_outside_of_it_is_refused() -> None:
    data = encoded("tiles")
    start = data.index(b"mdat") - 4
    shorter = data[: start + 4 + 4 + 100]
    mended = (
        shorter[:start] + (len(shorter) - start).to_bytes(4, "big") + shorter[start + 4 :]
    )  # boxes end where it does
    assert "beyond its end" in (damage_of(mended) or "")


def test_a_heic_with_an_overwritten_tile_is_refused() -> None:
    data = bytearray(encoded("tiles"))
    start = data.index(b"mdat") + 4
    data[start + 4 : start + 400] = bytes(396)
    assert damage_of(bytes(data)) == "a coded part of the picture is damaged"

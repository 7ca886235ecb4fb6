"""The depth maps that phones embed: found, the right way round, over the upright photo, and never a crash."""

from __future__ import annotations

import base64
import io
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.imageio import read_photo, write_photo
from dofkit.runtime_ref.imageio.embedded_depth import embedded_disparity, heif_disparity
from dofkit.runtime_ref.imageio.exif import oriented

GUID = "0123456789ABCDEF0123456789ABCDEF"
JPEG_STEP = 3 / 255


def stored_map(height: int = 24, width: int = 32) -> np.ndarray:
    """Smooth, from 0 to 255, four different corners."""
    y, x = np.mgrid[:height, :width]
    return np.rint(255 * (2 * x / (width - 1) + y / (height - 1)) / 3).astype(np.uint8)


def encoded(pixels: np.ndarray, form: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, quality=98, **options)
    return buffer.getvalue()


def with_segments(picture: bytes, *segments: tuple[int, bytes]) -> bytes:
    raw = b"".join(struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content for marker, content in segments)
    return picture[:2] + raw + picture[2:]


def description(**properties: str) -> bytes:
    namespaces = {
        "apdi": "http://ns.apple.com/pixeldatainfo/1.0/",
        "GDepth": "http://ns.google.com/photos/1.0/depthmap/",
        "xmpNote": "http://ns.adobe.com/xmp/note/",
    }
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in namespaces.items())
    stated = " ".join(f'{name.replace("_", ":")}="{value}"' for name, value in properties.items())
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {declared} {stated}/></rdf:RDF></x:xmpmeta>'
    ).encode()


def xmp_segment(packet: bytes) -> tuple[int, bytes]:
    return 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet


def mpf_segment(*lengths: int) -> tuple[int, bytes]:
    """A Multi-Picture Format index of pictures that follow each other (CIPA DC-007)."""
    starts = [0, *np.cumsum(lengths).tolist()]
    entries = b"".join(struct.pack(">IIIHH", 0, size, at, 0, 0) for size, at in zip(lengths, starts, strict=False))
    directory = struct.pack(">HHHI4sHHIIHHIII", 3, 0xB000, 7, 4, b"0100", 0xB001, 4, 1, len(lengths), 0xB002, 7,
                            len(entries), 50, 0)  # fmt: skip
    return 0xE2, b"MPF\0MM\0*" + struct.pack(">I", 8) + directory + entries


def photo_picture(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(np.zeros((48, 64, 3), np.uint8), exif=exif)


def apple_jpeg(*auxiliary: bytes, orientation: int = 1) -> bytes:
    photo = photo_picture(orientation)
    return with_segments(photo, mpf_segment(len(photo), *map(len, auxiliary))) + b"".join(auxiliary)


def apple_auxiliary(values: np.ndarray, kind: str = "disparity", **properties: str) -> bytes:
    packet = description(apdi_AuxiliaryImageType=kind, **{f"apdi_{name}": text for name, text in properties.items()})
    return with_segments(encoded(values), xmp_segment(packet))


def heic_with_depth(orientation: int = 1) -> bytes:
    """An alpha plane is stored just as a depth map is; only the name of its kind differs."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.dstack([np.zeros((48, 64, 3), np.uint8), stored_map(48, 64)])
    heic = encoded(pixels, "HEIF", exif=exif.tobytes())
    assert heic.count(b"urn:mpeg:hevc:2015:auxid:1") == 1
    return heic.replace(b"urn:mpeg:hevc:2015:auxid:1", b"urn:mpeg:hevc:2015:auxid:2")


def gdepth_jpeg(depth: bytes, orientation: int = 1, **properties: str) -> bytes:
    """GDepth as phones write it: the numbers in the main packet, the picture in the extension."""
    data = description(GDepth_Data=base64.b64encode(depth).decode())
    main = description(**{f"GDepth_{name}": text for name, text in properties.items()}, xmpNote_HasExtendedXMP=GUID)
    parts = [
        (
            0xE1,
            b"http://ns.adobe.com/xmp/extension/\0"
            + GUID.encode()
            + struct.pack(">II", len(data), at)
            + data[at:][:400],
        )
        for at in range(0, len(data), 400)
    ]
    return with_segments(photo_picture(orientation), xmp_segment(main), *parts)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_apple_disparity_lies_over_the_upright_photo(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "portrait.jpg"
    path.write_bytes(apple_jpeg(apple_auxiliary(stored_map()), orientation=orientation))
    disparity = embedded_disparity(path)
    assert disparity is not None
    assert disparity.dtype == np.float32
    np.testing.assert_allclose(disparity, oriented(stored_map(), orientation) / 255, atol=JPEG_STEP)
    portrait = read_photo(path).pixels
    assert (portrait.shape[0] > portrait.shape[1]) == (disparity.shape[0] > disparity.shape[1])


def test_disparity_is_stretched_to_0_and_1_with_near_bright(found) -> None:
    disparity = found(apple_jpeg(apple_auxiliary(np.uint8(100) + stored_map() // 4)))
    assert disparity.min() == 0
    assert disparity.max() == 1
    assert disparity[-1, -1] > disparity[0, 0]


def test_constant_disparity_is_all_zero(found) -> None:
    disparity = found(apple_jpeg(apple_auxiliary(np.full((24, 32), 77, np.uint8))))
    np.testing.assert_array_equal(disparity, np.zeros((24, 32)))


def test_apple_depth_in_metres_is_inverted(found) -> None:
    metres = 0.5 + 3.5 * stored_map() / 255
    disparity = found(apple_jpeg(apple_auxiliary(stored_map(), "depth", FloatMinValue="0.5", FloatMaxValue="4.0")))
    expected = (1 / metres - 1 / 4) / (1 / 0.5 - 1 / 4)
    np.testing.assert_allclose(disparity, expected, atol=8 * JPEG_STEP)
    assert np.unravel_index(disparity.argmax(), disparity.shape) == (0, 0)


@pytest.mark.parametrize(
    "range_", [{}, {"FloatMinValue": "0", "FloatMaxValue": "4"}, {"FloatMinValue": "nan", "FloatMaxValue": "x"}]
)
def test_apple_depth_without_a_sound_range_is_not_guessed(found, range_: dict[str, str]) -> None:
    assert found(apple_jpeg(apple_auxiliary(stored_map(), "depth", **range_))) is None


def test_mattes_and_gain_maps_are_not_taken_for_depth(found) -> None:
    matte = apple_auxiliary(stored_map(), "depth", AuxiliaryImageSubType="portraiteffectsmatte")
    gain_map = apple_auxiliary(stored_map(), "urn:com:apple:photo:2020:aux:hdrgainmap")
    assert found(apple_jpeg(matte, gain_map)) is None
    assert found(apple_jpeg(matte, gain_map, apple_auxiliary(stored_map()))) is not None


def test_map_is_found_though_the_index_is_stale_or_gone(found) -> None:
    auxiliary = apple_auxiliary(stored_map())
    stale = with_segments(photo_picture(), mpf_segment(5, 2**31)) + b"padding" + auxiliary
    for data in (stale, photo_picture() + auxiliary):
        assert found(data) is not None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_depth_lies_over_the_upright_photo(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "portrait.heic"
    path.write_bytes(heic_with_depth(orientation))
    disparity = embedded_disparity(path)
    assert disparity is not None
    np.testing.assert_allclose(disparity, oriented(stored_map(48, 64), orientation) / 255, atol=4 * JPEG_STEP)
    assert read_photo(path).pixels.shape[:2] == disparity.shape


def test_heif_representations_become_disparity_or_nothing() -> None:
    values = np.array([[0, 0.5, 1]], np.float32)
    for disparity_like in ({}, {"representation_type": 0}, {"representation_type": 1, "d_min": 1.0, "d_max": 2.0}):
        np.testing.assert_array_equal(heif_disparity(values, disparity_like), values)
    depth = heif_disparity(values, {"representation_type": 2, "z_near": 1.0, "z_far": 3.0})
    assert depth is not None
    np.testing.assert_allclose(depth, [[1, 1 / 2, 1 / 3]], rtol=1e-6)
    assert heif_disparity(values, {"representation_type": 2}) is None
    assert heif_disparity(values, {"representation_type": 3}) is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_google_depth_lies_over_the_upright_photo(found, orientation: int) -> None:
    disparity = found(gdepth_jpeg(encoded(stored_map(), "PNG"), orientation, Format="RangeInverse", Near="1", Far="9"))
    np.testing.assert_allclose(disparity, 1 - oriented(stored_map(), orientation) / 255, atol=1e-6)


def test_google_linear_depth_is_inverted(found) -> None:
    deep = stored_map().astype(np.uint16) * 257
    disparity = found(gdepth_jpeg(encoded(deep, "PNG"), Format="RangeLinear", Near="1", Far="3"))
    np.testing.assert_allclose(disparity, (1 / (1 + 2 * (deep / 65535)) - 1 / 3) / (2 / 3), atol=1e-6)


@pytest.mark.parametrize(
    "data",
    [
        gdepth_jpeg(b"no picture", Format="RangeInverse"),
        gdepth_jpeg(encoded(stored_map(), "PNG"), Format="RangeUnheardOf"),
        gdepth_jpeg(encoded(stored_map(), "PNG"), Format="RangeLinear", Near="3", Far="1"),
        gdepth_jpeg(encoded(stored_map(), "PNG"), Format="RangeInverse").replace(b"extension/", b"extensiom/"),
        apple_jpeg(apple_auxiliary(stored_map())[:-200]),
        photo_picture(),
        encoded(stored_map(), "PNG"),
        encoded(np.zeros((8, 8, 3), np.uint8), "HEIF"),
        b"Dear diary",
    ],
    ids=["no picture", "format", "range", "no extension", "cut short", "plain", "png", "plain heic", "text"],
)
def test_no_map_or_a_damaged_one_is_none(found, data: bytes) -> None:
    assert found(data) is None


def test_missing_file_and_broken_heic_are_refused_in_one_line(tmp_path: Path, found) -> None:
    with pytest.raises(DofkitError, match="no such file"):
        embedded_disparity(tmp_path / "none.jpg")
    with pytest.raises(DofkitError, match="damaged or cut short"):
        found(heic_with_depth()[:300])


@pytest.mark.parametrize("data", [gdepth_jpeg(encoded(stored_map(), "PNG"), Near="1"), heic_with_depth()])
def test_photo_written_anew_claims_no_depth_map(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in").write_bytes(data)
    photo = read_photo(tmp_path / "in")
    for name in ("out.jpg", "out.heic", "out.png"):
        write_photo(tmp_path / name, photo.pixels, like=photo)
        assert embedded_disparity(tmp_path / name) is None
        assert b"GDepth" not in (tmp_path / name).read_bytes()
        assert b"HasExtendedXMP" not in (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    "whole",
    [apple_jpeg(apple_auxiliary(stored_map())), gdepth_jpeg(encoded(stored_map(), "PNG")), heic_with_depth(), b""],
    ids=["apple", "google", "heic", "noise"],
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=1, max_size=60), at=st.floats(0, 1), cut=st.integers(0, 60))
def test_no_bytes_raise_anything_but_the_one_line(found, whole: bytes, noise: bytes, at: float, cut: int) -> None:
    place = int(at * len(whole))
    with suppress(DofkitError):
        disparity = found(whole[:place] + noise + whole[place + cut :])
        assert disparity is None or (disparity.min() >= 0 and disparity.max() <= 1)

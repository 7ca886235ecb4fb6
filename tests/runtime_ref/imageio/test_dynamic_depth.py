"""Dynamic Depth: the map among the files after the photo, the right way round, and never another file or a crash."""

from __future__ import annotations

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
from dofkit.runtime_ref.imageio import embedded_disparity, read_photo, write_photo
from dofkit.runtime_ref.imageio.dynamic_depth import appended_files
from dofkit.runtime_ref.imageio.exif import oriented
from dofkit.runtime_ref.imageio.jpeg import jpeg_pictures

STORED = (np.mgrid[:6, :8][0] * 40 + np.mgrid[:6, :8][1]).astype(np.uint8)
DYNAMIC, LATER = "http://ns.google.com/photos/dd/1.0/", "http://ns.google.com/photos/1.0/container/"


def encoded(pixels: np.ndarray, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


DEPTH = encoded(STORED)


def packet(items: list[dict[str, object]], depth: dict[str, str], container: str = DYNAMIC) -> bytes:
    """A photo's XMP, its items as attributes of elements of their own."""
    spaces = {
        "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        "Container": f"{DYNAMIC}container/" if container == DYNAMIC else container,
        "Item": f"{container}item/",
        "Camera": f"{DYNAMIC}camera/",
        "DepthMap": f"{DYNAMIC}depthmap/",
    }
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in spaces.items())

    def stated(prefix: str, values: dict) -> str:
        return " ".join(f'{prefix}:{name}="{value}"' for name, value in values.items())

    listed = "".join(
        f'<rdf:li rdf:parseType="Resource"><Container:Item {stated("Item", item)}/></rdf:li>' for item in items
    )
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {declared}><rdf:Description>'
        f"<Container:Directory><rdf:Seq>{listed}</rdf:Seq></Container:Directory>"
        f"<Camera:DepthMap {stated('DepthMap', depth)}/>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def photo_with(xmp: bytes, *files: bytes, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = encoded(np.zeros((48, 64, 3), np.uint8), "JPEG", exif=exif)
    content = b"http://ns.adobe.com/xap/1.0/\0" + xmp
    return photo[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(content) + 2) + content + photo[2:] + b"".join(files)


def dynamic(*, depth: bytes = DEPTH, container: str = DYNAMIC, orientation: int = 1, **named: str) -> bytes:
    """A gain map, then the depth map after three bytes of padding."""
    gain = encoded(255 - STORED, "JPEG")
    items: list[dict[str, object]] = [
        {"Mime": "image/jpeg", "Length": 0, "Padding": 2, "DataURI": "primary_image", "Semantic": "Primary"},
        {"Mime": "image/jpeg", "Length": len(gain), "Padding": 3, "DataURI": "gain", "Semantic": "GainMap"},
        {"Mime": "image/png", "Length": len(depth), "DataURI": "android/depthmap", "Semantic": "Depth"},
    ]
    stated = {"Format": "RangeInverse", "Near": "1", "Far": "3", "DepthURI": "android/depthmap", **named}
    return photo_with(packet(items, stated, container), b"..", gain, b"...", depth, orientation=orientation)


@pytest.mark.parametrize("container", [DYNAMIC, LATER])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_map_lies_over_the_upright_photo_with_near_bright(found, container: str, orientation: int) -> None:
    disparity = found(dynamic(container=container, orientation=orientation))
    expected = oriented(1 - STORED.astype(np.float32) / 255, orientation)
    np.testing.assert_allclose(disparity, (expected - expected.min()) / np.ptp(expected), atol=1e-6)


def test_linear_depth_is_inverted(found) -> None:
    disparity = found(dynamic(Format="RangeLinear"))
    inverse = 1 / (1 + 2 * STORED.astype(np.float64) / 255)
    np.testing.assert_allclose(disparity, (inverse - inverse.min()) / np.ptp(inverse), atol=1e-5)


def test_files_follow_each_other_with_their_padding() -> None:
    data = dynamic()
    gain, depth = appended_files(data, jpeg_pictures(data)[0])
    assert (gain.semantic, depth.semantic) == ("GainMap", "Depth")
    assert data[gain.start : gain.end].startswith(b"\xff\xd8")
    assert data[depth.start : depth.end] == DEPTH


@pytest.mark.parametrize(
    "data",
    [
        dynamic(DepthURI="elsewhere"),
        dynamic()[:-40],
        dynamic(depth=b"no picture"),
        dynamic(Format="RangeUnheardOf"),
        dynamic(Format="RangeLinear", Near="3", Far="1"),
        dynamic().replace(f'Length="{len(DEPTH)}"'.encode(), f'Length="-{len(DEPTH)}'.encode()),
        photo_with(packet([], {"DepthURI": "android/depthmap"})),
    ],
    ids=["another uri", "cut short", "no picture", "format", "range", "length", "no items"],
)
def test_what_is_not_there_as_a_whole_is_no_map(found, data: bytes) -> None:
    assert found(data) is None


def test_a_photo_written_anew_names_no_appended_files(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(dynamic())
    photo = read_photo(tmp_path / "in.jpg")
    write_photo(tmp_path / "out.jpg", photo.pixels, like=photo)
    assert embedded_disparity(tmp_path / "out.jpg") is None
    assert b"android/depthmap" not in (tmp_path / "out.jpg").read_bytes()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=1, max_size=60), at=st.floats(0, 1), cut=st.integers(0, 60))
def test_no_bytes_raise_anything_but_the_one_line(found, noise: bytes, at: float, cut: int) -> None:
    whole = dynamic()
    place = int(at * len(whole))
    with suppress(DofkitError):
        disparity = found(whole[:place] + noise + whole[place + cut :])
        assert disparity is None or (disparity.min() >= 0 and disparity.max() <= 1)

"""What a phone put beside the photo is named, so that its loss is not silent."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from dofkit.runtime_ref.imageio import read_photo
from dofkit.runtime_ref.imageio.attachments import attachments_of


def jpeg_with(xmp: bytes = b"", after: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    options = {"xmp": xmp} if xmp else {}
    Image.new("RGB", (32, 24), (90, 120, 60)).save(buffer, "JPEG", **options)
    return buffer.getvalue() + after


APPLE_MAP = jpeg_with(b'<x xmlns:apdi="http://ns.apple.com/pixeldatainfo/1.0/" apdi:AuxiliaryImageType="disparity"/>')
APPLE_GAIN = jpeg_with(
    b"<x><apdi:AuxiliaryImageType>urn:com:apple:photo:2020:aux:hdrgainmap</apdi:AuxiliaryImageType></x>"
)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (jpeg_with(), ()),
        (jpeg_with(after=APPLE_GAIN), ("HDR gain map",)),
        (jpeg_with(b'<x xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"/>'), ("HDR gain map",)),
        (jpeg_with(after=APPLE_MAP), ("depth map",)),
        (jpeg_with(b'<x xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/"/>'), ("depth map",)),
        (jpeg_with(b'<x GCamera:MotionPhoto="1"/>'), ("video",)),
        (jpeg_with(b'<x GCamera:MotionPhoto="0"/>'), ()),
        (jpeg_with(after=APPLE_GAIN + APPLE_MAP), ("HDR gain map", "depth map")),
        (b"\0\0\0\x18ftypheic auxC\0\0\0\0urn:mpeg:hevc:2015:auxid:2\0", ("depth map",)),
        (b"\0\0\0\x18ftypheic auxC\0\0\0\0urn:com:apple:photo:2020:aux:hdrgainmap\0", ("HDR gain map",)),
        (b"\x89PNG hdr-gain-map", ()),
    ],
)
def test_attachments_are_found_by_the_names_of_their_formats(data: bytes, named: tuple[str, ...]) -> None:
    assert attachments_of(data) == named


def test_a_photo_with_attachments_says_what_a_portrait_will_lack(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(jpeg_with(after=APPLE_GAIN + APPLE_MAP))
    assert read_photo(tmp_path / "photo.jpg").notes == (
        "holds HDR gain map and depth map of the sharp photo, not taken over by a portrait",
    )

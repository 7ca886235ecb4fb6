"""Finding the pictures in a JPEG file and their metadata."""

from __future__ import annotations

import io
import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dofkit.runtime_ref.imageio.jpeg import jpeg_pictures

XMP = b"http://ns.adobe.com/xap/1.0/\0"
EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
GUID = "0123456789ABCDEF0123456789ABCDEF"


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def picture(*app1: bytes, seed: int = 0, **options) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", **options)
    return buffer.getvalue()[:2] + b"".join(segment(0xE1, content) for content in app1) + buffer.getvalue()[2:]


def extension(part: bytes, length: int, offset: int, guid: str = GUID) -> bytes:
    return EXTENSION + guid.encode() + struct.pack(">II", length, offset) + part


def test_pictures_that_follow_each_other_are_told_apart() -> None:
    files = [picture(XMP + b"one"), picture(XMP + b"two", seed=1, progressive=True), picture(seed=2)]
    data = b"\0\0gap".join(files)
    found = jpeg_pictures(data)
    assert [data[one.start : one.end] for one in found] == files
    assert [one.xmp for one in found] == [b"one", b"two", None]


def test_restart_markers_do_not_end_a_picture() -> None:
    whole = picture(restart_marker_blocks=1)
    assert b"\xff\xd0" in whole
    (only,) = jpeg_pictures(whole)
    assert (only.start, only.end) == (0, len(whole))


def test_thumbnail_inside_exif_is_not_a_picture_of_its_own() -> None:
    exif = b"Exif\0\0" + picture()
    (only,) = jpeg_pictures(picture(exif))
    assert only.exif == exif


def test_extended_xmp_is_put_together_by_offset() -> None:
    data = picture(extension(b"world", 11, 6), extension(b"hello ", 11, 0), extension(b"other", 5, 0, GUID[::-1]))
    assert jpeg_pictures(data)[0].extended_xmp(GUID) == b"hello world"


def test_extended_xmp_with_a_part_missing_is_none() -> None:
    one = jpeg_pictures(picture(extension(b"world", 11, 6), extension(b"hell", 11, 0)))[0]
    assert one.extended_xmp(GUID) is None
    assert one.extended_xmp("") is None


@given(st.binary(max_size=300), st.integers(0, 900), st.integers(0, 40))
def test_no_bytes_break_the_walk(noise: bytes, at: int, cut: int) -> None:
    whole = picture(XMP + b"one", extension(b"part", 9, 0)) + picture(seed=1)
    for data in (noise, b"\xff\xd8\xff" + noise, whole[:at] + noise + whole[at + cut :]):
        for one in jpeg_pictures(data):
            assert 0 <= one.start < one.end <= len(data)
            one.extended_xmp(GUID)

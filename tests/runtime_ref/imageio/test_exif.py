"""What the EXIF orientation means, and what is patched in an EXIF block when a photo is written anew."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dofkit.runtime_ref.imageio.exif import HEADER, exif_for, orientation_of, oriented

# EXIF 2.32, tag 0x0112: where the stored row 0 and the stored column 0 are to be seen.
ROW_0_COLUMN_0 = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
SHORT, LONG, ASCII = 3, 4, 2
THUMBNAIL = b"\xff\xd8\xffTHE PHOTO AS IT WAS\xff\xd9"


def side(picture: np.ndarray, name: str) -> set[int]:
    return set(
        {"top": picture[0], "bottom": picture[-1], "left": picture[:, 0], "right": picture[:, -1]}[name].tolist()
    )


def block(order: str = ">", orientation: int = 6, thumbnail: bytes = THUMBNAIL, tail: bytes = b"") -> bytes:
    """An EXIF block of a 40×30 photo: IFD0 → Exif IFD with pixel dimensions, IFD1 → thumbnail."""

    def entry(tag: int, kind: int, value: int, count: int = 1) -> bytes:
        field = struct.pack(order + "HH", value, 0) if kind == SHORT else struct.pack(order + "I", value)
        return struct.pack(order + "HHI", tag, kind, count) + field

    def directory(entries: list[bytes], following: int) -> bytes:
        return struct.pack(order + "H", len(entries)) + b"".join(entries) + struct.pack(order + "I", following)

    exif_at, make_at, ifd1_at, thumbnail_at = 50, 80, 86, 116
    ifd0 = [entry(0x010F, ASCII, make_at, 6), entry(0x0112, SHORT, orientation), entry(0x8769, LONG, exif_at)]
    exif = [entry(0xA002, SHORT, 40), entry(0xA003, LONG, 30)]
    ifd1 = [entry(0x0201, LONG, thumbnail_at), entry(0x0202, LONG, len(thumbnail))]
    head = {">": b"MM\0*", "<": b"II*\0"}[order] + struct.pack(order + "I", 8)
    body = head + directory(ifd0, ifd1_at) + directory(exif, 0) + b"Maker\0" + directory(ifd1, 0)
    assert len(body) == thumbnail_at
    return HEADER + body + thumbnail + tail


def tag(exif: bytes, number: int, order: str = ">") -> int:
    at = exif.index(struct.pack(order + "H", number), len(HEADER))
    kind = struct.unpack_from(order + "H", exif, at + 2)[0]
    return struct.unpack_from(order + ("H" if kind == SHORT else "I"), exif, at + 8)[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_stored_row_and_column_0_are_seen_where_exif_says(orientation: int) -> None:
    stored = np.arange(6).reshape(2, 3)
    upright = oriented(stored, orientation)
    row, column = ROW_0_COLUMN_0[orientation]
    assert side(upright, row) == set(stored[0].tolist())
    assert side(upright, column) == set(stored[:, 0].tolist())


@pytest.mark.parametrize(
    ("orientation", "rotated"),
    [(3, lambda a: np.rot90(a, 2)), (6, lambda a: np.rot90(a, -1)), (8, np.rot90), (5, lambda a: a.swapaxes(0, 1))],
)
def test_rotations_keep_the_channels_of_a_pixel_together(orientation: int, rotated) -> None:
    stored = np.arange(24).reshape(2, 4, 3)
    np.testing.assert_array_equal(oriented(stored, orientation), rotated(stored))


@pytest.mark.parametrize("orientation", [0, 9, 255, -1])
def test_an_orientation_that_does_not_exist_changes_nothing(orientation: int) -> None:
    stored = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(oriented(stored, orientation), stored)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_read_in_both_byte_orders(order: str, orientation: int) -> None:
    assert orientation_of(block(order, orientation)) == orientation


@pytest.mark.parametrize("exif", [None, b"", HEADER, b"not a block", block(orientation=0), block(orientation=77)])
def test_without_a_valid_orientation_the_photo_is_upright(exif: bytes | None) -> None:
    assert orientation_of(exif) == 1


@pytest.mark.parametrize("order", ["<", ">"])
def test_block_is_corrected_for_upright_pixels_of_a_new_size(order: str) -> None:
    corrected = exif_for(block(order, orientation=6), width=70000, height=40)
    assert corrected is not None
    assert orientation_of(corrected) == 1
    assert tag(corrected, 0xA002, order) == 70000  # stored as SHORT before, which cannot hold it
    assert tag(corrected, 0xA003, order) == 40


def test_thumbnail_is_gone_and_takes_no_space() -> None:
    corrected = exif_for(block(tail=b"\0\0"), 30, 40)
    assert corrected is not None
    assert b"AS IT WAS" not in corrected
    assert len(corrected) == len(block(thumbnail=b""))


def test_thumbnail_in_the_middle_of_the_block_is_wiped_where_it_lies() -> None:
    corrected = exif_for(block(tail=b"maker note"), 30, 40)
    assert corrected is not None
    assert b"AS IT WAS" not in corrected
    assert corrected.endswith(b"maker note")


def test_what_needs_no_correction_stays_byte_for_byte() -> None:
    original = block(orientation=1, thumbnail=b"")
    corrected = exif_for(original, 40, 30)
    assert corrected is not None
    changed = [at for at, (old, new) in enumerate(zip(original, corrected, strict=True)) if old != new]
    ifd1_pointer = range(len(HEADER) + 46, len(HEADER) + 50)
    width_kind_and_value = range(len(HEADER) + 54, len(HEADER) + 64)
    assert set(changed) <= {*ifd1_pointer, *width_kind_and_value}


def test_damaged_block_is_dropped_since_it_cannot_be_corrected() -> None:
    assert exif_for(block()[:40], 30, 40) is None


def test_block_without_the_pointer_to_a_second_directory_is_kept() -> None:
    lone = HEADER + b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, SHORT, 1, 8, 0)
    assert orientation_of(exif_for(lone, 3, 4)) == 1
    assert exif_for(lone, 3, 4) is not None


@given(st.binary(max_size=200), st.integers(0, 160), st.binary(max_size=8))
def test_no_bytes_break_the_reader(noise: bytes, at: int, patch: bytes) -> None:
    patched = block()[:at] + patch + block()[at + len(patch) :]
    for exif in (noise, HEADER + noise, HEADER + b"II*\0" + noise, patched):
        assert 1 <= orientation_of(exif) <= 8
        corrected = exif_for(exif, 30, 40)
        assert corrected is None or corrected.startswith(HEADER)

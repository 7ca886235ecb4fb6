"""How large a picture may be: in terms of the machine's memory, not of a library's habit."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.imageio import opening, read_photo
from dofkit.runtime_ref.imageio.opening import TooLargeError, check_size, open_image


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_phone_photo_of_200_megapixels_is_opened_on_a_phone_engineers_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "physical_memory", lambda: 8 * 10**9)
    assert open_image(png_header(16320, 12240)).size == (16320, 12240)


def test_what_the_memory_cannot_hold_is_refused_with_both_figures() -> None:
    with pytest.raises(TooLargeError, match=r"16320×12240 pixels, which take 3\.4 GB.* has 2\.0 GB: scale") as found:
        check_size(16320, 12240, memory=2 * 10**9)
    assert "\n" not in str(found.value)
    check_size(4032, 3024, memory=2 * 10**9)


@pytest.mark.parametrize("memory", [0, 16 * 10**9, 10**12])
def test_a_file_that_claims_60000_by_60000_is_refused_on_any_machine(memory: int) -> None:
    with pytest.raises(TooLargeError, match="scale the photo down"):
        check_size(60000, 60000, memory)


def test_the_refusal_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "claims.png").write_bytes(png_header(60000, 60000))
    with pytest.raises(DofkitError, match=r"claims\.png: has 60000×60000 pixels"):
        read_photo(tmp_path / "claims.png")


def test_pillows_own_limit_stays_as_it_was() -> None:
    limit = Image.MAX_IMAGE_PIXELS
    open_image(png_header(100, 100))
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_format_that_starts_programs_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(DofkitError, match="is not a photo"):
        read_photo(tmp_path / "photo.jpg")

"""What pictures of every mode become as 8-bit RGB."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.imageio.colour_modes import rgb_pixels


def icc(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A minimal ICC v2 profile of the given colour space and connection space."""
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"", 0x02400000, b"prtr", space, connection)
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    return head.ljust(128, b"\0") + table + body


def grey_profile_with_linear_light() -> bytes:
    white = b"XYZ " + struct.pack(">IIII", 0, 0xF6D6, 0x10000, 0xD32D)
    return icc(b"GRAY", b"XYZ ", {b"wtpt": white, b"kTRC": b"curv" + bytes(8)})


def cmyk_profile_that_sees_black_ink_only() -> bytes:
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    corners = b"".join(bytes([0 if black else 255, 128, 128]) for _ in range(8) for black in (0, 1))  # Lab
    return icc(
        b"CMYK", b"Lab ", {b"A2B0": b"mft1" + bytes([0] * 4 + [4, 3, 2, 0]) + matrix + ramp * 4 + corners + ramp * 3}
    )


def only_pixel(image: Image.Image) -> list[int]:
    return rgb_pixels(image, "photo")[0][0, 0].tolist()


def test_grey_photo_becomes_three_equal_channels() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    pixels, _ = rgb_pixels(Image.fromarray(grey), "photo")
    np.testing.assert_array_equal(pixels, np.stack([grey] * 3, axis=2))


def test_rgb_photo_keeps_values_and_profile() -> None:
    wide = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.new("RGB", (1, 1), (255, 7, 0))
    image.info["icc_profile"] = wide
    pixels, profile = rgb_pixels(image, "photo")
    assert pixels.tolist() == [[[255, 7, 0]]]
    assert profile == wide


def test_16_bit_grey_is_rounded_to_8_bits() -> None:
    values = np.array([[0, 128, 129, 257, 65535]], np.uint16)
    pixels, _ = rgb_pixels(Image.fromarray(values), "photo")
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 1, 255]


def test_transparent_pixels_show_white_paper() -> None:
    assert only_pixel(Image.new("RGBA", (1, 1), (255, 0, 0, 0))) == [255, 255, 255]
    assert only_pixel(Image.new("RGBA", (1, 1), (255, 0, 0, 255))) == [255, 0, 0]
    assert only_pixel(Image.new("LA", (1, 1), (0, 0))) == [255, 255, 255]


def test_palette_gives_its_colours() -> None:
    image = Image.new("P", (1, 1), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert only_pixel(image) == [10, 20, 30]
    image.info["transparency"] = 1
    assert only_pixel(image) == [255, 255, 255]


def test_bilevel_gives_black_and_white() -> None:
    assert only_pixel(Image.new("1", (1, 1), 1)) == [255, 255, 255]


def test_cmyk_without_a_profile_becomes_rgb() -> None:
    assert only_pixel(Image.new("CMYK", (1, 1), (0, 255, 255, 0))) == [255, 0, 0]


def test_cmyk_with_a_profile_becomes_srgb_through_it() -> None:
    image = Image.new("CMYK", (2, 1), (255, 255, 255, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    image.info["icc_profile"] = cmyk_profile_that_sees_black_ink_only()
    pixels, profile = rgb_pixels(image, "photo")
    assert pixels[0, 0].min() >= 253  # full coloured inks, which this profile does not see
    assert pixels[0, 1].max() <= 2
    assert profile is None


def test_grey_with_a_profile_becomes_srgb_through_it() -> None:
    image = Image.new("L", (1, 1), 55)
    image.info["icc_profile"] = grey_profile_with_linear_light()
    pixels, profile = rgb_pixels(image, "photo")
    np.testing.assert_allclose(pixels[0, 0], 128, atol=1)  # sRGB encodes 55/255 of the light as 128
    assert profile is None


@pytest.mark.parametrize("profile", [b"x", b"\0" * 16 + b"CMYK" + b"\0" * 200])
def test_damaged_profile_is_no_reason_to_refuse_the_photo(profile: bytes) -> None:
    image = Image.new("CMYK", (1, 1), (0, 255, 255, 0))
    image.info["icc_profile"] = profile
    pixels, kept = rgb_pixels(image, "photo")
    assert pixels.tolist() == [[[255, 0, 0]]]
    assert kept is None


@pytest.mark.parametrize("image", [Image.new("F", (1, 1)), Image.new("La", (1, 1)), Image.new("I", (1, 1), -1)])
def test_mode_without_a_known_white_or_a_way_to_rgb_is_refused(image: Image.Image) -> None:
    with pytest.raises(DofkitError, match=r"photo: .*convert"):
        rgb_pixels(image, "photo")

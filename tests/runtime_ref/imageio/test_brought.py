"""A map that is brought with a photo means what was declared, and lies over the photo or is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.imageio import (
    DisparityKind,
    Photo,
    disparity_for,
    flatness_of,
    read_disparity,
    write_disparity,
)
from dofkit.runtime_ref.imageio.exif import oriented


def photo_of(width: int, height: int, orientation: int = 1) -> Photo:
    pixels = np.zeros((height, width, 3), np.uint8)
    return Photo(pixels, None, None, None, Path("photo.jpg"), orientation=orientation)


def map_of(width: int, height: int, folder: Path, bits: int = 8) -> Path:
    values = np.linspace(0, 255 if bits == 8 else 65535, width * height).reshape(height, width)
    Image.fromarray(values.astype(np.uint8 if bits == 8 else np.uint16)).save(folder / "map.png")
    return folder / "map.png"


@pytest.mark.parametrize("size", [(256, 192), (128, 96), (64, 48), (1024, 768), (255, 192), (9, 7)])
def test_a_map_of_the_photos_aspect_is_taken_as_it_is(tmp_path: Path, size: tuple[int, int]) -> None:
    path = map_of(*size, tmp_path)
    brought = disparity_for(photo_of(256, 192), path)
    assert brought.notes == ()
    np.testing.assert_array_equal(brought.values, read_disparity(path))


@pytest.mark.parametrize("size", [(192, 256), (96, 128)])
def test_a_map_turned_by_90_degrees_is_refused_with_both_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(DofkitError, match=rf"is {size[0]}×{size[1]}, the photo 256×192: one of them is turned"):
        disparity_for(photo_of(256, 192), map_of(*size, tmp_path))


@pytest.mark.parametrize("size", [(192, 192), (256, 144), (256, 180), (240, 192)])
def test_a_map_of_another_aspect_is_refused_unless_it_is_said_to_cover_the_photo(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = map_of(*size, tmp_path)
    with pytest.raises(DofkitError, match=r"does not lie over the photo; crop or scale .*--stretch-disparity"):
        disparity_for(photo_of(256, 192), path)
    assert disparity_for(photo_of(256, 192), path, stretch=True).values.shape == size[::-1]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_map_as_the_sensor_saw_it_is_turned_like_the_photo(tmp_path: Path, orientation: int) -> None:
    path = map_of(256, 192, tmp_path)
    brought = disparity_for(photo_of(192, 256, orientation), path)
    np.testing.assert_array_equal(brought.values, oriented(read_disparity(path), orientation))
    assert f"EXIF orientation {orientation}" in brought.notes[0]


def test_an_inverted_map_has_its_nearest_in_black(tmp_path: Path) -> None:
    path = map_of(64, 48, tmp_path)
    values = disparity_for(photo_of(64, 48), path, DisparityKind.INVERTED).values
    np.testing.assert_allclose(values, 1 - read_disparity(path))


def millimetres(folder: Path, depth: np.ndarray) -> Path:
    Image.fromarray(depth.astype(np.uint16)).save(folder / "kinect.png")
    return folder / "kinect.png"


@pytest.mark.parametrize(("near", "far"), [(500, 4000), (250, 900), (1000, 20_000)])
def test_millimetres_are_asked_about_and_then_become_inverse_depth(tmp_path: Path, near: int, far: int) -> None:
    depth = np.tile(np.linspace(near, far, 400), (300, 1)).round()
    path = millimetres(tmp_path, depth)
    with pytest.raises(DofkitError, match=r"look like depth in millimetres.*--disparity-kind depth-mm"):
        disparity_for(photo_of(400, 300), path)
    values = disparity_for(photo_of(400, 300), path, DisparityKind.DEPTH_MM).values
    expected = (1 / depth - 1 / far) / (1 / near - 1 / far)
    assert np.abs(values - expected).max() < 0.01  # the ends are cut at 0.1 % of the pixels
    assert values[0, 0] == 1
    assert values[0, -1] == 0
    declared = disparity_for(photo_of(400, 300), path, DisparityKind.DISPARITY)
    np.testing.assert_array_equal(declared.values, read_disparity(path))


def test_unknown_depth_is_filled_in_from_what_is_beside(tmp_path: Path) -> None:
    depth = np.full((30, 40), 2000)
    depth[:, 20:] = 1000
    depth[:, 15:20] = 0  # the shadow of the near half on the far one
    photo = photo_of(40, 30)
    photo.pixels[:, 20:] = 255
    brought = disparity_for(photo, millimetres(tmp_path, depth), DisparityKind.DEPTH_MM)
    assert np.isfinite(brought.values).all()
    np.testing.assert_allclose(brought.values[:, :17], 0, atol=0.01)
    np.testing.assert_allclose(brought.values[:, 20:], 1, atol=0.01)
    assert brought.notes == ("has no depth at 12% of its pixels, filled in from what is beside and looks alike",)


def test_millimetres_need_16_bits_and_something_known(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="millimetres takes 16"):
        disparity_for(photo_of(64, 48), map_of(64, 48, tmp_path), DisparityKind.DEPTH_MM)
    with pytest.raises(DofkitError, match="all 0, which means unknown"):
        disparity_for(photo_of(40, 30), millimetres(tmp_path, np.zeros((30, 40))), DisparityKind.DEPTH_MM)


def test_8_bit_values_in_16_bits_are_asked_about_and_made_ones_are_not(tmp_path: Path) -> None:
    eight = np.tile(np.arange(64), (48, 1))
    with pytest.raises(DofkitError, match=r"holds 8-bit values \(at most 63\) in 16 bits"):
        disparity_for(photo_of(64, 48), millimetres(tmp_path, eight))
    assert disparity_for(photo_of(64, 48), millimetres(tmp_path, eight * 257)).values.max() < 0.25


def test_a_map_that_we_wrote_is_never_asked_about(tmp_path: Path) -> None:
    dark = np.tile(np.linspace(0.01, 0.06, 64, dtype=np.float32), (48, 1))
    write_disparity(tmp_path / "map.png", dark)
    brought = disparity_for(photo_of(64, 48), tmp_path / "map.png")
    assert brought.ours
    np.testing.assert_allclose(brought.values, dark, atol=1e-5)
    assert not disparity_for(photo_of(64, 48), map_of(64, 48, tmp_path)).ours


@pytest.mark.parametrize(("value", "said"), [(0.0, "is all 0:"), (0.5, r"is flat \(all 0.50\)"), (1.0, "is flat")])
def test_a_map_that_says_nothing_is_told(value: float, said: str) -> None:
    assert re.match(said, flatness_of(np.full((4, 5), value, np.float32)) or "")
    assert flatness_of(np.linspace(0.4, 0.5, 20, dtype=np.float32)[None]) is None

"""Disparity maps in files: 1 = nearest, values by the range of the file and not of the scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.imageio.disparity import read_disparity, write_disparity


def stored(path: Path, values: np.ndarray, **options) -> Path:
    Image.fromarray(values).save(path, **options)
    return path


@pytest.mark.parametrize(("kind", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_values_are_divided_by_the_largest_of_the_file(tmp_path: Path, kind: type, white: int) -> None:
    values = np.array([[0, white // 5, white // 2, white]], kind)
    disparity = read_disparity(stored(tmp_path / "d.png", values))
    assert disparity.dtype == np.float32
    np.testing.assert_allclose(disparity, values / white, rtol=1e-6)


def test_narrow_range_is_not_stretched(tmp_path: Path) -> None:
    disparity = read_disparity(stored(tmp_path / "d.png", np.array([[100, 120]], np.uint8)))
    np.testing.assert_allclose(disparity, [[100 / 255, 120 / 255]], rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.37, 1.0])
def test_constant_map_is_valid(tmp_path: Path, value: float) -> None:
    write_disparity(tmp_path / "d.png", np.full((3, 4), value, np.float32))
    np.testing.assert_allclose(read_disparity(tmp_path / "d.png"), value, atol=0.5 / 65535 + 1e-7)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=2), elements=st.floats(0, 1, width=32)))
def test_map_survives_writing_to_half_a_step_of_16_bits(tmp_path: Path, disparity: np.ndarray) -> None:
    write_disparity(tmp_path / "d.png", disparity)
    np.testing.assert_allclose(read_disparity(tmp_path / "d.png"), disparity, rtol=0, atol=0.5 / 65535 + 1e-7)


def test_32_bit_integers_count_as_16_bit_values(tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        read_disparity(stored(tmp_path / "d.tiff", np.array([[0, 65535]], np.int32))), [[0.0, 1.0]]
    )
    with pytest.raises(DofkitError, match="outside 0 to 65535"):
        read_disparity(stored(tmp_path / "d.tiff", np.array([[0, 65536]], np.int32)))


def test_grey_stored_as_colour_is_read(tmp_path: Path) -> None:
    grey = np.array([[0, 51, 255]], np.uint8)
    for channels in (np.stack([grey] * 3, axis=2), np.stack([grey] * 3 + [np.full_like(grey, 255)], axis=2)):
        np.testing.assert_allclose(read_disparity(stored(tmp_path / "d.png", channels)), grey / 255, rtol=1e-6)


def test_grey_jpeg_in_colour_is_read_despite_its_rounding(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 4, 64, axis=0).repeat(3, axis=2)
    disparity = read_disparity(stored(tmp_path / "d.jpg", ramp, quality=60))
    np.testing.assert_allclose(disparity, ramp[..., 0] / 255, atol=0.03)


def test_false_colours_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="is in colour"):
        read_disparity(stored(tmp_path / "d.png", np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)))


def test_transparent_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="transparent"):
        read_disparity(stored(tmp_path / "d.png", np.array([[[9, 9, 9, 0]]], np.uint8)))


def test_floating_point_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="colour mode F"):
        read_disparity(stored(tmp_path / "d.tiff", np.zeros((2, 2), np.float32)))


def test_map_is_turned_like_a_photo(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = stored(tmp_path / "d.png", np.array([[0, 255]], np.uint8), exif=exif)
    np.testing.assert_array_equal(read_disparity(path), [[0.0], [1.0]])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.01, 1.01])
def test_values_that_are_no_disparity_are_not_written(tmp_path: Path, wrong: float) -> None:
    with pytest.raises(DofkitError, match="NaN or values outside 0 to 1"):
        write_disparity(tmp_path / "d.png", np.array([[0.5, wrong]], np.float32))
    assert not list(tmp_path.iterdir())


def test_only_png_is_written(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match=r"end the name with \.png"):
        write_disparity(tmp_path / "d.jpg", np.zeros((2, 2), np.float32))


def test_unreadable_map_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "d.png").write_text("no map")
    with pytest.raises(DofkitError, match="is not a photo"):
        read_disparity(tmp_path / "d.png")

"""Disparity, focus and aperture → defocus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.optics import auto_focus, defocus, focus_at, network_defocus, widen_focus

UNIT = st.floats(0, 1)


def test_the_largest_blur_at_1280_pixels_is_the_papers_65_pixel_kernel() -> None:
    radius = defocus(np.array([[1.0]], np.float32), focus=0.0, aperture=1.0, long_side=1280)
    assert 2 * radius[0, 0] + 1 == 65


@given(UNIT, UNIT, UNIT, st.floats(1, 1e4))
def test_defocus_agrees_with_the_thin_lens(d: float, focus: float, aperture: float, long_side: float) -> None:
    # Thin lens: a point at depth z, focus at z_f, gives a circle of radius A·|1/z − 1/z_f| for a constant A that holds
    # aperture, focal length and pixel size. Disparity is affine in 1/z, so c is A' times the difference of disparities.
    near, far = 0.5, 10.0
    inverse = lambda value: 1 / far + value * (1 / near - 1 / far)  # noqa: E731
    lens_constant = aperture * long_side / 40 / (1 / near - 1 / far)
    expected = lens_constant * (inverse(d) - inverse(focus))
    c = defocus(np.array([[d]], np.float32), focus, aperture, long_side)[0, 0]
    assert c == pytest.approx(expected, rel=1e-4, abs=1e-4 * long_side / 40)


def test_nearer_than_the_focus_is_positive() -> None:
    c = defocus(np.array([[0.9, 0.5, 0.1]], np.float32), focus=0.5, aperture=1.0, long_side=320)
    assert c[0, 0] > 0
    assert c[0, 1] == 0
    assert c[0, 2] < 0


def test_a_level_up_doubles_the_radius() -> None:
    d = np.random.default_rng(0).random((4, 5), np.float32)
    np.testing.assert_allclose(defocus(d, 0.3, 0.7, 640), 2 * defocus(d, 0.3, 0.7, 320), rtol=1e-6)


def test_networks_get_eighths_clipped_to_one() -> None:
    c = network_defocus(np.array([[-64, -8, -4, 0, 8, 9]], np.float32))
    np.testing.assert_array_equal(c, [[-1, -1, -0.5, 0, 1, 1]])


def test_focus_at_a_point_is_the_median_around_it() -> None:
    d = np.zeros((200, 300), np.float32)
    d[90:111, 140:161] = 0.8
    d[100, 150] = 0.1  # a hole in the map
    assert focus_at(d, 0.5, 0.5) == pytest.approx(0.8)
    assert focus_at(d, 0.0, 1.0) == 0.0


@pytest.mark.parametrize("point", [(-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5)])
def test_a_focus_outside_the_picture_is_refused(point: tuple[float, float]) -> None:
    with pytest.raises(DofkitError, match="outside the picture"):
        focus_at(np.zeros((4, 4), np.float32), *point)


def test_auto_focus_finds_the_nearer_subject() -> None:
    d = np.full((100, 80), 0.2, np.float32)
    d[30:90, 25:55] = 0.7
    assert auto_focus(d) == pytest.approx(0.7)


def test_auto_focus_ignores_a_near_border() -> None:
    d = np.full((100, 80), 0.2, np.float32)
    d[30:80, 25:55] = 0.7
    d[95:] = 1.0
    assert auto_focus(d) == pytest.approx(0.7)


@given(UNIT)
def test_auto_focus_of_a_flat_map_is_its_value(value: float) -> None:
    assert auto_focus(np.full((20, 20), value, np.float32)) == pytest.approx(value, abs=1e-6)


@given(UNIT, UNIT, st.floats(0, 0.5))
def test_widened_focus_is_flat_inside_its_range_and_continuous_outside(d: float, focus: float, half: float) -> None:
    widened = float(widen_focus(np.array([[d]], np.float32), focus, half)[0, 0])
    distance = max(0.0, abs(d - focus) - half)
    assert abs(widened - focus) == pytest.approx(distance, abs=1e-6)
    assert (widened - focus) * (d - focus) >= -1e-7  # never on the other side of the focus

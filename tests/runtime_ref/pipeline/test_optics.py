"""Disparity, focus and aperture → defocus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dofkit.runtime_ref.pipeline.optics import defocus, network_defocus, widen_focus

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


@given(UNIT, UNIT, st.floats(0, 0.5))
def test_widened_focus_is_flat_inside_its_range_and_continuous_outside(d: float, focus: float, half: float) -> None:
    widened = float(widen_focus(np.array([[d]], np.float32), focus, half)[0, 0])
    distance = max(0.0, abs(d - focus) - half)
    assert abs(widened - focus) == pytest.approx(distance, abs=1e-6)
    assert (widened - focus) * (d - focus) >= -1e-7  # never on the other side of the focus

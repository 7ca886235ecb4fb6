"""Metrics against closed forms and against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dofkit.runtime_ref.parity.check import metrics


def test_psnr_of_a_constant_error_is_its_closed_form() -> None:
    reference = np.full((8, 8, 3), 0.5, np.float32)
    assert metrics.psnr(reference, reference + np.float32(0.01)) == pytest.approx(40, abs=1e-3)


def test_psnr_agrees_with_scikit_image() -> None:
    skimage = pytest.importorskip("skimage.metrics")
    a, b = np.random.default_rng(0).random((2, 20, 30, 3), np.float32)
    assert metrics.psnr(a, b) == pytest.approx(skimage.peak_signal_noise_ratio(a, b, data_range=1), abs=1e-4)


def test_equal_pictures_get_a_finite_psnr() -> None:
    picture = np.zeros((4, 4, 3), np.float32)
    assert metrics.psnr(picture, picture) == metrics.EQUAL_PSNR


def test_psnr_of_a_region_ignores_the_rest() -> None:
    reference = np.zeros((4, 4, 3), np.float32)
    output = reference.copy()
    output[0] = 1.0
    output[1:] = 0.1
    where = np.ones((4, 4), bool)
    where[0] = False
    assert metrics.psnr(reference, output, where) == pytest.approx(20, abs=1e-3)


@given(st.floats(0, 1, width=32))
def test_max_abs_is_the_greatest_difference(value: float) -> None:
    reference = np.zeros((3, 3, 3), np.float32)
    output = reference.copy()
    output[1, 2, 0] = -value
    assert metrics.max_abs(reference, output) == pytest.approx(value)


def test_ssim_is_one_for_equal_pictures_and_drops_with_blur() -> None:
    picture = np.random.default_rng(0).random((32, 32, 3), np.float32)
    assert metrics.ssim(picture, picture) == pytest.approx(1)
    assert metrics.ssim(picture, np.full_like(picture, 0.5)) < 0.2


def test_the_edge_band_reaches_exactly_as_far_as_asked() -> None:
    disparity = np.zeros((9, 20), np.float32)
    disparity[:, 10:] = 1
    band = metrics.depth_edge_band(disparity, width=3)
    assert np.flatnonzero(band[4]).tolist() == list(range(7, 14))


def test_in_focus_is_half_a_pixel_of_blur() -> None:
    assert metrics.in_focus(np.array([[-0.6, -0.5, 0, 0.5, 0.6]], np.float32)).tolist() == [
        [False, True, True, True, False]
    ]


def test_highlights_look_at_the_brightest_colour() -> None:
    picture = np.array([[[0.95, 0, 0], [0.9, 0.9, 0.9]]], np.float32)
    assert metrics.highlights(picture).tolist() == [[True, False]]

"""Sizes of the levels, padding and resampling, against brute force, Pillow and PyTorch."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter, minimum_filter

from dofkit.runtime_ref.pipeline.optics import defocus
from dofkit.runtime_ref.pipeline.pyramid import (
    THIN,
    THIN_TIE,
    Halved,
    Pyramid,
    as_float,
    build_levels,
    disparity_at_level,
    first_level,
    halve,
)
from dofkit.runtime_ref.pipeline.resampling import resample, resize

SIDE = st.integers(1, 20000)


@given(SIDE, SIDE)
def test_the_lowest_level_is_the_first_that_fits_into_320(height: int, width: int) -> None:
    pyramid = Pyramid.of(height, width)
    assert pyramid.long_side(0) <= 320
    assert pyramid.levels == 0 or max(height, width) / 2 ** (pyramid.levels - 1) > 320


SHARE = st.floats(0, 1)


@given(SIDE, SIDE, st.lists(SHARE, min_size=1, max_size=5), SHARE, SHARE)
def test_the_lens_blur_runs_where_no_defocus_exceeds_8_pixels_and_a_level_higher_where_it_still_does_not(
    height: int, width: int, values: list[float], focus: float, aperture: float
) -> None:
    pyramid, disparity = Pyramid.of(height, width), np.array([values], np.float64)
    chosen = first_level(pyramid, disparity, focus, aperture)
    lowest, *above = (
        np.abs(defocus(disparity, focus, aperture, pyramid.long_side(level))).max()
        for level in range(min(pyramid.levels, 1) + 1)
    )
    assert lowest <= 8 + 1e-5
    assert all(chosen == (largest <= 8) or largest == pytest.approx(8) for largest in above)
    assert above or chosen == 0


def test_without_its_lowest_level_a_pyramid_is_the_same_above() -> None:
    pyramid = Pyramid.of(1280, 957)
    kept = pyramid.started_at(1)
    assert [kept.size(level) for level in range(2)] == [(640, 479), (1280, 958)]
    assert kept.long_side(0) == pyramid.long_side(1)
    assert kept.factor(0) == pyramid.factor(1)


@given(SIDE, SIDE)
def test_every_level_doubles_and_the_top_covers_the_photo(height: int, width: int) -> None:
    pyramid = Pyramid.of(height, width)
    for level in range(pyramid.levels):
        low, high = pyramid.size(level), pyramid.size(level + 1)
        assert high == (2 * low[0], 2 * low[1])
    top = pyramid.size(pyramid.levels)
    for padded, side in zip(top, (height, width), strict=True):
        assert 0 <= padded - side < 2**pyramid.levels


def test_halving_is_the_mean_of_blocks_in_light() -> None:
    image = np.random.default_rng(0).random((6, 8, 3), np.float32)
    brute = np.empty((3, 4, 3))
    for i, j in np.ndindex(3, 4):
        block = image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        brute[i, j] = np.sqrt((block**2).mean(axis=(0, 1)))
    np.testing.assert_allclose(halve(image, (3, 4)), brute, atol=1e-6)


def test_halving_an_odd_picture_repeats_its_edge() -> None:
    image = np.random.default_rng(1).integers(0, 256, (601, 5, 3)).astype(np.uint8)  # more rows than one strip
    padded = np.pad(image, ((0, 1), (0, 1), (0, 0)), mode="edge")
    np.testing.assert_allclose(halve(image, (301, 3)), halve(padded, (301, 3)), atol=1e-7)


@given(height=st.integers(1, 40), width=st.integers(1, 40), more=st.integers(0, 5), data=st.data())
def test_a_part_of_a_halved_picture_is_that_part_of_the_whole(
    height: int, width: int, more: int, data: st.DataObject
) -> None:
    """Bit for bit, beyond the picture's border too, where its level is padded."""
    picture = np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)
    size = -(-height // 2) + more, -(-width // 2) + more
    first = [data.draw(st.integers(0, side - 1)) for side in size]
    last = [data.draw(st.integers(start + 1, side)) for start, side in zip(first, size, strict=True)]
    rows, columns = map(slice, first, last)
    np.testing.assert_array_equal(Halved(picture, size)[rows, columns], halve(picture, size)[rows, columns])


def test_levels_in_16_bits_are_those_in_floats_rounded() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (1300, 9, 3)).astype(np.uint8)
    pyramid = Pyramid.of(1300, 9)
    floats, rounded = build_levels(pixels, pyramid), build_levels(pixels, pyramid, np.uint16)
    assert [level.dtype for level in rounded] == [np.uint16] * pyramid.levels + [np.uint8]
    for level, exact in zip(rounded, floats, strict=True):
        np.testing.assert_allclose(as_float(level), as_float(exact), rtol=0, atol=pyramid.levels * 8e-6)


def test_levels_keep_the_photo_itself_at_the_top() -> None:
    pixels = np.zeros((700, 500, 3), np.uint8)
    images = build_levels(pixels, Pyramid.of(700, 500))
    assert [image.shape[:2] for image in images] == [(175, 125), (350, 250), (700, 500)]
    assert images[-1] is pixels


@pytest.mark.parametrize("size", [(20, 30), (33, 47), (64, 10)])
def test_enlarging_agrees_with_pytorchs_bilinear(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    picture = np.random.default_rng(2).random((16, 9), np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(picture)[None, None], size=size, mode="bilinear", align_corners=False
    )[0, 0].numpy()
    enlarges = all(goal >= side for goal, side in zip(size, picture.shape, strict=True))
    assert enlarges
    np.testing.assert_allclose(resize(picture, size), expected, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))
def test_reducing_is_the_area_mean_that_an_enlarged_picture_shows(h: int, w: int, height: int, width: int) -> None:
    """Repeated so often that result pixels are whole blocks of it."""
    height, width = min(h, height), min(w, width)
    picture = np.random.default_rng(h).random((h, w), np.float32)
    large = picture.astype(np.float64).repeat(height, axis=0).repeat(width, axis=1)
    expected = large.reshape(height, h, width, w).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(picture, (height, width)), expected, atol=1e-5)
    pixels = np.rint(255 * picture).astype(np.uint8)[..., None]
    expected = resize(pixels.astype(np.float32), (height, width))
    np.testing.assert_allclose(resize(pixels, (height, width)), expected, atol=1e-3)


def test_reducing_by_a_whole_factor_is_the_mean_of_blocks() -> None:
    picture = np.random.default_rng(3).random((12, 20), np.float32)
    expected = picture.reshape(3, 4, 5, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(picture, (3, 5)), expected, atol=1e-6)


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60))
def test_resizing_a_flat_picture_keeps_its_value(h: int, w: int, height: int, width: int) -> None:
    np.testing.assert_allclose(resize(np.full((h, w, 2), 0.4, np.float32), (height, width)), 0.4, rtol=1e-5)


@pytest.mark.parametrize("pitch", [Fraction(1, 3), Fraction(5, 7), Fraction(1), Fraction(3)])
def test_resampling_a_ramp_reads_it_at_pixel_centres(pitch: Fraction) -> None:
    ramp = np.tile(np.arange(100, dtype=np.float32) + 0.5, (100, 1))  # value = position of the pixel's centre
    result = resample(ramp, (10, 30), (pitch, pitch))
    expected = (np.arange(30) + 0.5) * float(pitch)
    np.testing.assert_allclose(result[0], expected.clip(0.5), atol=1e-4)


@pytest.mark.parametrize("map_size", [(3, 4), (48, 64), (301, 399), (1500, 2000)])
def test_a_map_lies_over_the_photo_at_every_level_whatever_its_resolution(map_size: tuple[int, int]) -> None:
    pyramid = Pyramid.of(750, 1000)
    height, width = map_size
    positions = ((np.arange(width) + 0.5) / width).astype(np.float32)  # value = fraction of the photo's width
    ramp = np.tile(positions, (height, 1))
    for level in range(pyramid.levels + 1):
        sampled = disparity_at_level(ramp, pyramid, level)
        assert sampled.shape == pyramid.size(level)
        expected = (np.arange(sampled.shape[1]) + 0.5) * pyramid.factor(level) / 1000
        margin = max(1 / width, pyramid.factor(level) / 1000)  # the outermost half pixels repeat the edge
        inside = (expected > margin) & (expected < 1 - margin)
        np.testing.assert_allclose(sampled[0][inside], expected[inside], atol=1e-3)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_hair_keeps_its_disparity_at_every_level(level: int) -> None:
    disparity = np.full((960, 1280), 0.1, np.float32)
    disparity[:, 601] = 0.9  # one pixel wide, in front of a far wall
    sampled = disparity_at_level(disparity, Pyramid.of(960, 1280), level)
    factor = Pyramid.of(960, 1280).factor(level)
    assert set(np.unique(sampled)) == {np.float32(0.1), np.float32(0.9)}
    assert np.flatnonzero(sampled[0] == np.float32(0.9)).tolist() == [601 // factor]


@pytest.mark.parametrize("edge", range(600, 609))
def test_a_pixel_that_an_edge_runs_through_has_the_mean_of_its_sides(edge: int) -> None:
    disparity = np.full((960, 1280), 0.1, np.float32)
    disparity[:, edge:] = 0.9
    sampled = disparity_at_level(disparity, Pyramid.of(960, 1280), 0)
    shares = (sampled[0] - 0.1) / 0.8  # of the nearer side
    assert shares.sum() == pytest.approx((1280 - edge) / 4, abs=1e-3)
    assert np.count_nonzero((shares > 1e-3) & (shares < 1 - 1e-3)) == (edge % 4 > 0)


@pytest.mark.parametrize("left", range(600, 604))
def test_for_the_lens_blur_a_twig_does_not_grow_by_the_pixels_that_it_only_touches(left: int) -> None:
    disparity = np.full((960, 1280), 0.1, np.float32)
    disparity[:, left : left + 3] = 0.9  # three quarters of a pixel of the lowest level
    touched = [150] if left < 602 else [150, 151]
    every, filled = (disparity_at_level(disparity, Pyramid.of(960, 1280), 0, which)[0] for which in (False, True))
    assert np.flatnonzero(every == np.float32(0.9)).tolist() == touched
    assert np.count_nonzero(filled == np.float32(0.9)) == 1
    assert np.flatnonzero(filled > 0.11).tolist() == touched


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(0, 2**31))
def test_of_the_disparities_in_a_pixel_the_mean_counts_or_the_nearest_of_thin_things(halvings: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    side = 1 << halvings
    photo = rng.random((140 << halvings, 320 << halvings)).astype(np.float32) ** rng.integers(1, 12)
    every, filled = (disparity_at_level(photo, Pyramid.of(*photo.shape), 0, which) for which in (False, True))
    blocks = photo.reshape(140, side, 320, side).swapaxes(1, 2)
    mean, nearest = blocks.mean(axis=(2, 3)), blocks.max(axis=(2, 3))
    largest, least = maximum_filter(mean, 3, mode="nearest"), minimum_filter(mean, 3, mode="nearest")
    above, below = nearest - largest, nearest - least
    thin = above > THIN * below
    most = thin & (mean >= largest - THIN_TIE)
    beside = np.asarray(maximum_filter(most, 3, mode="nearest"), bool)
    expected = np.where(most | (thin & ~beside), nearest, mean)
    sure = (np.abs(above - THIN * below) > 1e-5) & (np.abs(mean - (largest - THIN_TIE)) > 1e-6)
    sure = np.asarray(minimum_filter(sure, 3), bool)
    assert np.abs(filled - expected)[sure].max() < 1e-6
    assert np.abs(every - np.where(thin, nearest, mean))[sure].max() < 1e-6
    assert most.any()
    assert ((filled < every) & thin).any()

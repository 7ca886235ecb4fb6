"""Sizes of the levels, padding and resampling, against brute force, Pillow and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dofkit.runtime_ref.pyramid import Pyramid, build_levels, disparity_at_level, halve, resample, resize

SIDE = st.integers(1, 20000)


@given(SIDE, SIDE)
def test_the_lowest_level_is_the_first_that_fits_into_320(height: int, width: int) -> None:
    pyramid = Pyramid.of(height, width)
    assert pyramid.long_side(0) <= 320
    assert pyramid.levels == 0 or max(height, width) / 2 ** (pyramid.levels - 1) > 320


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


def test_reducing_by_a_whole_factor_is_the_mean_of_blocks() -> None:
    picture = np.random.default_rng(3).random((12, 20), np.float32)
    expected = picture.reshape(3, 4, 5, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(picture, (3, 5)), expected, atol=1e-6)


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60))
def test_resizing_a_flat_picture_keeps_its_value(h: int, w: int, height: int, width: int) -> None:
    np.testing.assert_allclose(resize(np.full((h, w, 2), 0.4, np.float32), (height, width)), 0.4, rtol=1e-5)


def test_resampling_a_ramp_reads_it_at_pixel_centres() -> None:
    ramp = np.tile(np.arange(100, dtype=np.float32) + 0.5, (100, 1))  # value = position of the pixel's centre
    result = resample(ramp, (10, 30), (1.5, 1.5))
    np.testing.assert_allclose(result[0], (np.arange(30) + 0.5) * 1.5, atol=1e-4)


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
        inside = (expected > 1 / width) & (expected < 1 - 1 / width)  # the outermost half pixels repeat the edge
        farther = (sampled[0] - expected)[inside]  # of several pixels the nearest counts: half a pixel of the level
        assert farther.min() > -1e-3
        assert farther.max() < 1e-3 + max(0.0, pyramid.factor(level) / 1000 - 1 / width) / 2


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_hair_keeps_its_disparity_at_every_level(level: int) -> None:
    disparity = np.full((960, 1280), 0.1, np.float32)
    disparity[:, 601] = 0.9  # one pixel wide, in front of a far wall
    sampled = disparity_at_level(disparity, Pyramid.of(960, 1280), level)
    factor = Pyramid.of(960, 1280).factor(level)
    assert set(np.unique(sampled)) == {np.float32(0.1), np.float32(0.9)}
    assert np.flatnonzero(sampled[0] == np.float32(0.9)).tolist() == [601 // factor]


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(0, 2**31))
def test_of_the_disparities_in_a_pixel_the_nearest_counts(halvings: int, seed: int) -> None:
    photo = np.random.default_rng(seed).random((8 << halvings, 300 << halvings)).astype(np.float32)
    pyramid = Pyramid.of(*photo.shape)
    expected = photo
    while expected.shape != pyramid.size(0):  # 2×2 at a time
        expected = np.maximum(np.maximum(expected[::2, ::2], expected[1::2, ::2]),
                              np.maximum(expected[::2, 1::2], expected[1::2, 1::2]))  # fmt: skip
    np.testing.assert_array_equal(disparity_at_level(photo, pyramid, 0), expected)

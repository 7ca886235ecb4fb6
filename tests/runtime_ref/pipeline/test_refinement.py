"""Small depth maps at a photo's size: edges where the photo has them, holes filled, all else as bilinear has it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dofkit.runtime_ref.pipeline import refinement
from dofkit.runtime_ref.pipeline.refinement import LONGEST, filled_disparity, is_coarse, upsampled_disparity

SHAPE, FACTOR = (96, 128), 8


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A noisy photo of a disc before a ground, and its true disparity: 0.8 on the disc, from 0.1 to 0.2 behind it."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    disc = np.hypot(rows - 45, columns - 66) < 30
    photo = np.where(disc[..., None], (190, 60, 50), (40, 110, 160)) + rng.normal(0, 6, (*SHAPE, 3))
    truth = np.where(disc, 0.8, 0.1 + 0.1 * rows / SHAPE[0])
    return np.clip(photo, 0, 255).astype(np.uint8), truth.astype(np.float32)


def reduced(truth: np.ndarray, factor: int = FACTOR) -> np.ndarray:
    """Means of blocks, which mix both sides of an edge as phones' small maps do."""
    height, width = truth.shape[0] // factor, truth.shape[1] // factor
    return truth.reshape(height, factor, width, factor).mean(axis=(1, 3)).astype(np.float32)


def bilinear(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """By its definition, pixel centres at i + 0.5."""
    at = [np.clip((np.arange(n) + 0.5) * m / n - 0.5, 0, m - 1) for n, m in zip(shape, values.shape, strict=True)]
    low = [np.minimum(np.floor(a).astype(int), m - 2) for a, m in zip(at, values.shape, strict=True)]
    y, x = (a - lo for a, lo in zip(at, low, strict=True))
    top, bottom = values[low[0]], values[low[0] + 1]
    across = [row[:, low[1]] * (1 - x) + row[:, low[1] + 1] * x for row in (top, bottom)]
    return across[0] * (1 - y[:, None]) + across[1] * y[:, None]


def wrong(found: np.ndarray, truth: np.ndarray) -> float:
    """Share of pixels that are off by more than a tenth of the range."""
    return float((np.abs(found - truth) > 0.1).mean())


def test_edges_move_onto_the_photos() -> None:
    photo, truth = scene()
    small = reduced(truth)
    found = upsampled_disparity(small, photo, LONGEST)
    assert found.shape == SHAPE
    assert wrong(bilinear(small, SHAPE), truth) > 0.06
    assert wrong(found, truth) < 0.02
    stepped = np.abs(np.diff(found, axis=1)) > 0.25
    true_steps = np.abs(np.diff(truth, axis=1)) > 0.25
    assert (stepped & true_steps).sum() > 0.7 * true_steps.sum()  # a bilinear ramp has none so steep
    assert not (np.abs(np.diff(bilinear(small, SHAPE), axis=1)) > 0.25).any()


def test_what_holds_no_edge_is_bilinear() -> None:
    rng = np.random.default_rng(1)
    smooth = bilinear(rng.random((3, 4)) * 0.02, (12, 16)).astype(np.float32)
    photo = rng.integers(0, 256, (*SHAPE, 3)).astype(np.uint8)  # edges of the photo alone make none in the map
    np.testing.assert_allclose(upsampled_disparity(smooth, photo, LONGEST), bilinear(smooth, SHAPE), atol=1e-5)


def test_far_from_edges_even_a_map_with_edges_is_bilinear() -> None:
    photo, truth = scene()
    found, expected = upsampled_disparity(reduced(truth), photo, LONGEST), bilinear(reduced(truth), SHAPE)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    away = np.abs(np.hypot(rows - 45, columns - 66) - 30) > 3 * FACTOR
    np.testing.assert_allclose(found[away], expected[away], atol=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.integers(2, 9))
def test_values_stay_within_those_that_are_known(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.random((height, width)).astype(np.float32)
    values[rng.random((height, width)) < 0.4] = np.nan
    values[0, 0] = 0.5
    photo = rng.integers(0, 256, (23, 31, 3)).astype(np.uint8)
    found = upsampled_disparity(values, photo, LONGEST)
    assert found.shape == (23, 31)
    assert np.nanmin(values) - 1e-5 <= found.min()
    assert found.max() <= np.nanmax(values) + 1e-5


def test_holes_take_the_side_of_their_colour() -> None:
    photo, truth = scene()
    small = reduced(truth, 4)
    holed = small.copy()
    holed[8:14, 5:13] = np.nan  # across the disc's left border
    found = filled_disparity(holed, photo)
    assert np.isfinite(found).all()
    hole = np.isnan(holed)
    np.testing.assert_array_equal(found[~hole], holed[~hole])
    pure = hole & (np.abs(small - 0.8) < 1e-6) | (hole & (small < 0.31))  # values that mix no two sides
    assert pure.sum() > 25
    assert np.abs(found - small)[pure].max() < 0.1


def test_a_map_known_at_one_place_is_that_value_everywhere() -> None:
    values = np.full((20, 30), np.nan, np.float32)
    values[3, 4] = 0.25
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    np.testing.assert_allclose(upsampled_disparity(values, photo, LONGEST), 0.25, atol=1e-6)


def test_a_map_of_which_nothing_is_known_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing is known"):
        upsampled_disparity(np.full((2, 2), np.nan, np.float32), np.zeros((4, 4, 3), np.uint8), LONGEST)


def test_a_large_map_stays_as_it_is_and_a_large_photo_is_bounded() -> None:
    photo, truth = scene()
    assert upsampled_disparity(truth, photo, LONGEST) is truth
    assert upsampled_disparity(reduced(truth), photo, longest=64).shape == (48, 64)
    assert upsampled_disparity(reduced(truth), np.zeros((3000, 4000, 3), np.uint8), LONGEST).shape == (
        LONGEST * 3 // 4,
        LONGEST,
    )


def test_the_map_may_have_another_aspect_than_the_photo() -> None:
    photo, truth = scene()
    square = np.asarray(Image.fromarray(truth).resize((16, 16), Image.Resampling.BOX))
    assert wrong(upsampled_disparity(square, photo, LONGEST), truth) < 0.02


def test_pixels_do_not_depend_on_how_many_are_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, truth = scene()
    whole = upsampled_disparity(reduced(truth), photo, LONGEST)
    monkeypatch.setattr(refinement, "_PIXELS_AT_ONCE", 1000)
    np.testing.assert_allclose(upsampled_disparity(reduced(truth), photo, LONGEST), whole, atol=1e-6)


def test_memory_is_bounded_where_everything_is_an_edge() -> None:
    values = (np.indices((192, 256)).sum(axis=0) % 2).astype(np.float32)
    photo = np.zeros((1152, 1536, 3), np.uint8)
    tracemalloc.start()
    upsampled_disparity(values, photo, LONGEST)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # all pixels at once would take over 400 MB


def test_a_phones_map_is_coarse_and_half_a_photo_is_not() -> None:
    phone = np.zeros((4032, 3024, 3), np.uint8)
    assert is_coarse(np.zeros((768, 576), np.float32), phone)
    assert not is_coarse(np.zeros((2016, 1512), np.float32), phone)

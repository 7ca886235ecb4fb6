"""Tiles cover the picture exactly once, and what is computed in them equals what is computed on the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from dofkit.runtime_ref.tiling import TilePlan

SIDE = st.integers(1, 70)
PLAN = st.builds(TilePlan, SIDE, SIDE, st.integers(3, 40), st.integers(3, 40), st.integers(0, 9))


@given(PLAN)
def test_cores_cover_every_pixel_once(plan: TilePlan) -> None:
    covered = np.zeros((plan.height, plan.width), int)
    tiles = list(plan)
    for tile in tiles:
        covered[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] += 1
    assert (covered == 1).all()
    assert len(tiles) == plan.count


@given(PLAN)
def test_a_tile_is_a_window_of_the_edge_padded_picture(plan: TilePlan) -> None:
    picture = np.arange(plan.height * plan.width, dtype=np.float32).reshape(plan.height, plan.width)
    margin = plan.halo + max(plan.core_height, plan.core_width)
    padded = np.pad(picture, margin, mode="edge")
    for tile in plan:
        height, width = plan.tile_size
        top, left = tile.top - plan.halo + margin, tile.left - plan.halo + margin
        np.testing.assert_array_equal(plan.extract(picture, tile), padded[top : top + height, left : left + width])


@settings(max_examples=60)
@given(PLAN, st.integers(0, 9))
def test_a_filter_within_the_halo_gives_the_same_tiled_and_whole(plan: TilePlan, radius: int) -> None:
    radius = min(radius, plan.halo)
    picture = np.random.default_rng(plan.height).random((plan.height, plan.width))
    network = lambda tile: uniform_filter(tile, 2 * radius + 1, mode="constant")  # noqa: E731 (zero padding, as convolutions)
    tiled = np.full_like(picture, np.nan)
    for tile in plan:
        core = plan.core(network(plan.extract(picture, tile)), tile)
        tiled[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] = core
    whole = TilePlan.whole((plan.height, plan.width), plan.halo)
    (only,) = whole
    np.testing.assert_allclose(tiled, whole.core(network(whole.extract(picture, only)), only), atol=1e-12)


def test_a_halo_too_small_is_seen() -> None:
    picture = np.random.default_rng(0).random((40, 40))
    plan, whole = TilePlan(40, 40, 16, 16, 2), TilePlan.whole((40, 40), 2)
    blur = lambda tile: uniform_filter(tile, 7, mode="constant")  # noqa: E731 (radius 3 > halo 2)
    first, (only,) = next(iter(plan)), whole
    difference = (
        plan.core(blur(plan.extract(picture, first)), first)
        - whole.core(blur(whole.extract(picture, only)), only)[:16, :16]
    )
    assert np.abs(difference).max() > 1e-3


@given(PLAN, st.integers(2, 4))
def test_a_scaled_plan_has_the_same_tiles_on_a_larger_picture(plan: TilePlan, factor: int) -> None:
    for small, large in zip(plan, plan.scaled(factor), strict=True):
        assert (large.top, large.left) == (factor * small.top, factor * small.left)
        assert (large.height, large.width) == (factor * small.height, factor * small.width)


@given(SIDE, SIDE, st.integers(0, 9), st.integers(1, 4))
def test_the_untiled_plan_is_one_aligned_tile(height: int, width: int, halo: int, align: int) -> None:
    plan = TilePlan.whole((height, width), halo, align)
    assert plan.count == 1
    assert plan.core_height % align == plan.core_width % align == 0


def test_a_plan_without_a_core_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        TilePlan.fixed((10, 10), tile=8, halo=4)

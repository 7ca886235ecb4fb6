"""Tiles cover the picture exactly once, and what is computed in them equals what is computed on the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from dofkit.runtime_ref.pipeline.in_place import Bands
from dofkit.runtime_ref.pipeline.tiling import Tile, TilePlan

SIDE = st.integers(1, 70)
PLAN = st.builds(TilePlan, SIDE, SIDE, st.integers(3, 40), st.integers(3, 40), st.integers(0, 9))
PLACE = st.integers(-100, 100)


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


@given(PLAN, SIDE, SIDE, PLACE, PLACE, st.sampled_from([(), (3,)]))
def test_any_tile_even_one_beside_the_picture_is_its_nearest_pixels(
    plan: TilePlan, height: int, width: int, top: int, left: int, channels: tuple[int, ...]
) -> None:
    picture = np.random.default_rng(height).random((height, width, *channels))
    rows = np.arange(plan.tile_size[0]) + top - plan.halo
    columns = np.arange(plan.tile_size[1]) + left - plan.halo
    nearest = picture[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)]
    np.testing.assert_array_equal(plan.extract(picture, Tile(top, left, 1, 1)), nearest)


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
    assert [tile.scaled(factor) for tile in plan] == list(plan.scaled(factor))


@given(PLAN, st.integers(1, 4))
def test_a_scaled_tile_is_the_same_part_of_an_enlarged_picture(plan: TilePlan, factor: int) -> None:
    picture = np.arange(plan.height * plan.width).reshape(plan.height, plan.width)
    large = picture.repeat(factor, 0).repeat(factor, 1)
    for tile in plan:
        part, goal = plan.extract(picture, tile), tile.scaled(factor)
        enlarged = plan.core(part, tile).repeat(factor, 0).repeat(factor, 1)
        above = plan.scaled(factor)
        np.testing.assert_array_equal(above.core(above.extract(large, goal), goal), enlarged)


@given(SIDE, SIDE, st.integers(0, 9), st.integers(1, 4))
def test_the_untiled_plan_is_one_aligned_tile(height: int, width: int, halo: int, align: int) -> None:
    plan = TilePlan.whole((height, width), halo, align)
    assert plan.count == 1
    assert plan.core_height % align == plan.core_width % align == 0


@given(PLAN, SIDE, SIDE)
def test_tiles_see_a_picture_as_it_was_while_it_is_written_over(plan: TilePlan, height: int, width: int) -> None:
    picture = np.random.default_rng(0).random((height, width))
    before, bands, begun = picture.copy(), Bands(picture, plan), list(plan)
    for ahead in zip(begun[::2], begun[1::2], strict=False):  # two at a time, the second asks first
        seen = {tile: bands.of(tile) for tile in reversed(ahead)}
        for tile in ahead:
            np.testing.assert_array_equal(plan.extract(seen[tile], tile), plan.extract(before, tile))
            picture[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] = -1


def test_a_plan_without_a_core_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        TilePlan.fixed((10, 10), tile=8, halo=4)

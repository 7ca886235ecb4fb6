"""What is in focus when nobody points, and when somebody does: properties of the geometry, on drawn maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.subject import ALIKE, auto_focus, connected, focus_at, thinned, weighted_median

UNIT = st.floats(0, 1, width=32)
MASK = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))
MAP = hnp.arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=UNIT)


def scene(*things: tuple[slice, slice, float], behind: float = 0.2) -> np.ndarray:
    """A map of 100 × 80 with rectangles at their disparities, later ones in front."""
    disparity = np.full((100, 80), behind, np.float32)
    for rows, columns, value in things:
        disparity[rows, columns] = value
    return disparity


def regions(mask: np.ndarray) -> np.ndarray:
    """Connected regions, numbered from 1, by SciPy."""
    labels = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, output=labels)
    return labels


def test_a_tap_on_a_hole_in_the_map_takes_what_is_around_it() -> None:
    d = np.zeros((200, 300), np.float32)
    d[90:111, 140:161] = 0.8
    d[100, 150] = 0.1
    for reach in (0.0, 0.1):
        assert focus_at(d, 0.5, 0.5, reach) == pytest.approx(0.8)
        assert focus_at(d, 0.0, 1.0, reach) == 0.0


@pytest.mark.parametrize("point", [(-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5)])
def test_a_focus_outside_the_picture_is_refused(point: tuple[float, float]) -> None:
    with pytest.raises(DofkitError, match="outside the picture"):
        focus_at(np.zeros((4, 4), np.float32), *point)


def test_a_tap_on_a_hand_focuses_the_person() -> None:
    person, hand = (slice(20, 90), slice(20, 50), 0.6), (slice(50, 56), slice(30, 36), 0.68)
    assert focus_at(scene(person, hand), 33 / 80, 0.53) == pytest.approx(0.68)
    assert focus_at(scene(person, hand), 33 / 80, 0.53, reach=ALIKE) == pytest.approx(0.6)


def test_a_tap_does_not_reach_what_is_as_far_but_apart() -> None:
    tapped, other = (slice(20, 40), slice(5, 25), 0.6), (slice(10, 95), slice(30, 75), 0.66)
    assert focus_at(scene(tapped, other), 15 / 80, 0.3, reach=ALIKE) == pytest.approx(0.6)
    bridge = (slice(30, 32), slice(20, 40), 0.63)
    assert focus_at(scene(tapped, other, bridge), 15 / 80, 0.3, reach=ALIKE) == pytest.approx(0.66)


@given(MAP, UNIT, UNIT, st.floats(0, 0.5))
def test_what_is_tapped_stays_within_reach_of_the_focus(d: np.ndarray, x: float, y: float, reach: float) -> None:
    tapped = focus_at(d, x, y)
    focus = focus_at(d, x, y, reach)
    assert abs(focus - tapped) <= reach + 1e-6
    assert d.min() <= focus <= d.max()


@given(MAP, UNIT, UNIT, st.floats(0, 0.5), st.booleans())
def test_a_mirrored_photo_has_the_same_focus(d: np.ndarray, x: float, y: float, reach: float, turned: bool) -> None:
    height, width = d.shape
    column, row = int(x * (width - 1)), int(y * (height - 1))  # the middle of a pixel: no rounding decides
    place = (column + 0.5) / width, (row + 0.5) / height
    mirrored = (width - column - 0.5) / width, (height - row - 0.5) / height
    other = (mirrored[0], place[1]) if not turned else (place[0], mirrored[1])
    flipped = d[:, ::-1] if not turned else d[::-1]
    assert focus_at(flipped, *other, reach) == focus_at(d, *place, reach)


def test_a_gradual_ground_is_focused_where_it_is_tapped() -> None:
    ramp = np.tile(np.linspace(0, 1, 100, dtype=np.float32)[:, None], (1, 80))
    assert focus_at(ramp, 0.5, 0.6, reach=ALIKE) == pytest.approx(focus_at(ramp, 0.5, 0.6), abs=0.02)


@settings(max_examples=60)
@given(MASK, st.integers(0, 2**32 - 1))
def test_connected_is_what_labels_of_scipy_say(alike: np.ndarray, seed: int) -> None:
    seeds = np.random.default_rng(seed).random(alike.shape) < 0.1
    labels = regions(alike)
    wanted = np.isin(labels, np.unique(labels[seeds & alike])) & alike
    np.testing.assert_array_equal(connected(alike, seeds), wanted)


def test_connected_follows_a_spiral_to_its_end() -> None:
    maze = np.zeros((21, 21), bool)
    maze[0] = maze[:, -1] = maze[-1] = True
    maze[2:, 0] = maze[2, :-2] = maze[2:-2, -3] = maze[-3, 2:-2] = maze[4:-2, 2] = True
    seeds = np.zeros_like(maze)
    seeds[0, 0] = True
    assert regions(maze).max() == 1
    np.testing.assert_array_equal(connected(maze, seeds), maze)
    maze[10, -1] = False  # a gap
    np.testing.assert_array_equal(connected(maze, seeds), regions(maze) == regions(maze)[0, 0])


def test_the_subject_in_the_middle_is_found_before_a_near_border_and_a_wall() -> None:
    person, table = (slice(30, 90), slice(25, 55), 0.7), (slice(95, 100), slice(0, 80), 1.0)
    assert auto_focus(scene(person)) == pytest.approx(0.7)
    assert auto_focus(scene(person, table)) == pytest.approx(0.7)


def test_several_faces_at_one_distance_win_over_a_nearer_small_thing() -> None:
    faces = [(slice(30, 60), slice(left, left + 14), 0.55 + 0.02 * n) for n, left in enumerate((10, 32, 54))]
    cup = (slice(70, 76), slice(36, 42), 0.95)
    focus = auto_focus(scene(*faces, cup))
    assert all(abs(value - focus) < 0.05 for _, _, value in faces)


def test_of_two_people_at_two_distances_the_nearer_is_in_focus() -> None:
    near, far = (slice(30, 90), slice(12, 32), 0.8), (slice(30, 90), slice(48, 68), 0.45)
    assert auto_focus(scene(near, far)) == pytest.approx(0.8)
    assert auto_focus(scene(near, far)[:, ::-1]) == pytest.approx(0.8)


@given(UNIT)
def test_the_focus_of_a_flat_map_is_its_value(value: float) -> None:
    assert auto_focus(np.full((20, 20), value, np.float32)) == pytest.approx(value, abs=1e-6)


@given(MAP)
def test_the_focus_is_a_disparity_of_the_map_and_the_same_in_the_mirror(d: np.ndarray) -> None:
    focus = auto_focus(d)
    assert np.float32(focus) in d or np.ptp(d) == 0
    if (np.unique(d).size == d.size) and np.ptp(d) > 0.2:  # no two pixels tie, nor round alike
        assert auto_focus(np.ascontiguousarray(d[:, ::-1])) == focus


@pytest.mark.parametrize("factor", [3, 7])
def test_a_finer_map_has_the_same_focus(factor: int) -> None:
    coarse = scene((slice(30, 90), slice(25, 55), 0.7), (slice(95, 100), slice(0, 80), 1.0))
    fine = coarse.repeat(factor, axis=0).repeat(factor, axis=1)
    assert max(thinned(fine).shape) <= 512
    assert auto_focus(fine) == auto_focus(coarse)
    assert focus_at(fine, 0.5, 0.6, ALIKE) == focus_at(coarse, 0.5, 0.6, ALIKE)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), min_size=1, max_size=9))
def test_a_weighted_median_is_that_of_repeated_values(pairs: list[tuple[int, int]]) -> None:
    values, weights = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
    if weights.any():
        repeated = np.sort(np.repeat(values, weights.astype(int)))
        assert weighted_median(values, weights) == repeated[(len(repeated) - 1) // 2]

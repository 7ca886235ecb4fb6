"""Subjects are found by colour, and what their depth owes to their place is told from what it owes to them."""

import numpy as np
import pytest

from dofkit.train.data.shallow_photos import PhotoSettings, shallow_photo
from dofkit.train.evaluation.subjects import beyond_place, subject_nearer, subject_of

SIDE = 64


@pytest.fixture(scope="module")
def discs() -> list[np.ndarray]:
    """Masks of a red disc on green at 40 places around the middle."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    places = np.random.default_rng(4).uniform(24, 40, (40, 2))
    return [np.hypot(rows - y, columns - x) < 14 for y, x in places]


def _pictures(masks: list[np.ndarray]) -> list[np.ndarray]:
    return [np.where(mask[..., None], [0.9, 0.1, 0.1], [0.1, 0.6, 0.1]).astype(np.float32) for mask in masks]


def _subjects(masks: list[np.ndarray]) -> list[np.ndarray | None]:
    return [subject_of(picture) for picture in _pictures(masks)]


@pytest.mark.parametrize("number", range(4))
def test_the_subject_of_a_drawn_photo_is_found_by_its_colour(number: int) -> None:
    photo = shallow_photo((11, number), PhotoSettings())
    assert subject_nearer(subject_of(photo.image), photo.disparity)
    assert not subject_nearer(subject_of(photo.image), 1 - photo.disparity)


def test_a_picture_of_one_colour_has_no_subject() -> None:
    assert not subject_nearer(subject_of(np.full((32, 32, 3), 0.5, np.float32)), np.zeros((32, 32), np.float32))
    assert subject_of(np.full((32, 32, 3), 0.5, np.float32)) is None


def test_the_subject_is_the_thing_of_the_middle_s_colour(discs: list[np.ndarray]) -> None:
    for picture, mask in zip(_pictures(discs), discs, strict=True):
        np.testing.assert_array_equal(subject_of(picture), mask)


def test_one_depth_under_every_picture_is_explained_by_place(discs: list[np.ndarray]) -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    round_depth = 1 - np.hypot(rows - 31.5, columns - 31.5) / SIDE
    assert all(subject_nearer(subject, round_depth) for subject in _subjects(discs))
    assert beyond_place(_subjects(discs), [round_depth] * len(discs)) == pytest.approx(0, abs=1e-9)


def test_depth_that_follows_its_subject_goes_beyond_place_by_what_the_mean_of_all_misses(
    discs: list[np.ndarray],
) -> None:
    # Contrast of a mask with itself is 1; place explains the mean mask's contrast over it.
    mean = np.mean(discs, axis=0)
    placed = np.mean([mean[mask].mean() - mean[~mask].mean() for mask in discs])
    found = beyond_place(_subjects(discs), [5 * mask + 2.0 for mask in discs])
    assert found == pytest.approx(1 - placed)
    assert 0.1 < found < 0.5


def test_subjects_that_are_no_nearer_have_no_share(discs: list[np.ndarray]) -> None:
    assert beyond_place(_subjects(discs), [1.0 - mask for mask in discs]) == 0
    assert beyond_place([subject_of(np.zeros((SIDE, SIDE, 3), np.float32))], [np.zeros((SIDE, SIDE))]) == 0

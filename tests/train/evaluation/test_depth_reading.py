"""Depth scores against what can be known by hand, and where the drawn photos' own facts are right."""

import numpy as np
import pytest

from dofkit.train.data.shallow_photos import ShallowPhoto
from dofkit.train.evaluation.depth_reading import DepthScores, held_out_photos
from dofkit.train.evaluation.generators import judge, judge_without


@pytest.fixture(scope="module")
def photos() -> dict[str, list[ShallowPhoto]]:
    return held_out_photos(6, 64, seed=3)


def test_the_truth_scores_perfectly_in_any_unit(photos: dict[str, list[ShallowPhoto]]) -> None:
    photo = photos["shallow"][0]
    for disparity in (photo.disparity, 3 * photo.disparity + 7):
        scores = DepthScores.of(disparity, photo)
        assert scores.rank == pytest.approx(1)
        assert scores.order > 0.98  # pixels of the outline are both
        assert scores.error < 1e-4


def test_a_reversed_map_has_the_opposite_rank_and_order(photos: dict[str, list[ShallowPhoto]]) -> None:
    photo = photos["shallow"][1]
    forth, back = DepthScores.of(photo.disparity, photo), DepthScores.of(1 - photo.disparity, photo)
    assert back.rank == pytest.approx(-forth.rank)
    assert back.order == pytest.approx(1 - forth.order)


def test_a_constant_has_no_rank_chance_order_and_the_spread_of_the_truth_as_error(
    photos: dict[str, list[ShallowPhoto]],
) -> None:
    photo = photos["deep"][0]
    scores = DepthScores.of(np.full_like(photo.disparity, 0.3), photo)
    assert (scores.rank, scores.order) == (0, 0.5)
    assert scores.error == pytest.approx(float(np.log(np.maximum(photo.disparity, 0.05)).std()), rel=1e-3)


def test_the_centre_prior_is_better_than_nothing_and_far_from_the_truth(photos: dict[str, list[ShallowPhoto]]) -> None:
    constant, prior = judge_without(photos)
    assert constant.reading is not None
    assert prior.reading is not None
    for kind in ("shallow", "deep"):
        assert constant.reading.scores[kind].rank == 0
        assert 0.2 < prior.reading.scores[kind].rank < 0.7
        assert prior.reading.scores[kind].error < constant.reading.scores[kind].error


def test_scores_are_means_over_the_photos_of_a_kind(photos: dict[str, list[ShallowPhoto]]) -> None:
    reading = judge(photos, lambda image: image[..., 0])
    each = [DepthScores.of(photo.image[..., 0], photo).rank for photo in photos["deep"]]
    assert reading.scores["deep"].rank == pytest.approx(np.mean(each))

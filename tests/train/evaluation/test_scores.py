"""Scores against closed forms: constant errors, known regions, averages, and numpy's own least squares."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from dofkit.train.evaluation.scores import (
    PSNR_CAP,
    Regions,
    Scores,
    capped_psnr,
    fit_scale_and_shift,
    level_psnrs,
    mean_scores,
    score,
)
from dofkit.train.rendering.layered import SceneLens

LENS = SceneLens(focus=0.9, aperture=1.0, long_side=320)


def halves(low: float, high: float, width: int = 64) -> np.ndarray:
    """[32, width]: `low` on the left, `high` on the right."""
    return np.broadcast_to(np.where(np.arange(width) < width // 2, low, high), (32, width)).astype(np.float32)


def test_the_edge_band_is_a_hundred_and_sixtieth_of_the_long_side_wide_on_each_side() -> None:
    columns = np.flatnonzero(Regions.of(halves(0.2, 0.9), LENS).edges.all(axis=0))
    assert columns.tolist() == [30, 31, 32, 33, 34]  # the jump is noted at column 32, and 320 / 160 = 2


def test_in_focus_is_where_the_circle_of_confusion_is_half_a_pixel_at_most() -> None:
    # radius = |d − 0.9| · 320 / 40: 0.48 px on the left, 0.56 px on the right
    regions = Regions.of(halves(0.84, 0.97), LENS)
    assert regions.in_focus[:, :32].all()
    assert not regions.in_focus[:, 32:].any()


def test_a_constant_error_has_the_psnr_of_its_formula_in_every_region() -> None:
    truth = np.full((32, 64, 3), 100, np.uint8)
    output = truth.copy()
    output[:, 32:] += 10
    scores = score(truth, output, Regions.of(halves(0.2, 0.9), LENS), seconds=1.5)
    assert scores.psnr == pytest.approx(-20 * np.log10(10 / 255) - 10 * np.log10(0.5), abs=1e-4)
    assert scores.psnr_in_focus == pytest.approx(-20 * np.log10(10 / 255), abs=1e-4)
    assert scores.psnr_edges == pytest.approx(-20 * np.log10(10 / 255) - 10 * np.log10(3 / 5), abs=1e-4)
    assert (scores.seconds, scores.levels) == (1.5, ())


def test_an_exact_picture_gets_the_cap_and_an_empty_region_nothing() -> None:
    truth = np.random.default_rng(0).integers(0, 256, (32, 64, 3)).astype(np.uint8)
    scores = score(truth, truth, Regions.of(halves(0.2, 0.2), LENS), seconds=0)
    assert (scores.psnr, scores.psnr_edges, scores.psnr_in_focus) == (PSNR_CAP, None, None)
    assert scores.ssim == pytest.approx(1)
    assert capped_psnr(np.zeros(3), np.zeros(3), np.zeros(3, bool)) is None


def test_levels_are_held_against_the_truth_averaged_down() -> None:
    patches = np.random.default_rng(0).integers(0, 200, (4, 4, 3)).astype(np.uint8)
    truth = patches.repeat(4, axis=0).repeat(4, axis=1)  # of one colour each, whatever the light is averaged in
    lowest = patches / np.float32(255)
    levels = [lowest, lowest.repeat(2, axis=0).repeat(2, axis=1) + np.float32(0.1)]
    assert level_psnrs(truth, levels) == (PSNR_CAP, pytest.approx(20, abs=1e-4))
    regions = Regions.of(np.zeros((16, 16), np.float32), LENS)
    assert score(truth, truth, regions, 0, levels).levels == (PSNR_CAP, pytest.approx(20, abs=1e-4), PSNR_CAP)


def test_means_leave_out_what_is_undefined() -> None:
    means = mean_scores([Scores(30, 0.9, None, 50, 1, (20, 30)), Scores(40, 0.7, 20, None, 3, (30, 40))])
    expected = {
        "psnr": 35,
        "ssim": pytest.approx(0.8),
        "psnr_edges": 20,
        "psnr_in_focus": 50,
        "seconds": 2,
        "disparity_error": 0,
    }
    assert means == {**expected, "levels": [25, 35]}
    assert mean_scores([Scores(30, 0.9, None, 50, 1)])["psnr_edges"] is None


def test_scores_survive_json() -> None:
    scores = Scores(30.25, 0.5, None, 41.0, 0.125, (28.0, 30.25))
    assert Scores.from_json(json.loads(json.dumps(asdict(scores)))) == scores


def test_scale_and_shift_are_those_of_numpys_least_squares() -> None:
    rng = np.random.default_rng(1)
    predicted = rng.random((20, 30), np.float32)
    true = (0.4 * predicted + 0.3 + 0.1 * rng.standard_normal((20, 30))).astype(np.float32)
    columns = np.stack([predicted.ravel(), np.ones(predicted.size)], axis=1)
    expected = np.linalg.lstsq(columns, true.ravel(), rcond=None)[0]
    assert fit_scale_and_shift(predicted, true) == pytest.approx(tuple(expected), rel=1e-5)


@pytest.mark.parametrize("predicted", [np.full((4, 4), 0.3), np.linspace(1, 0, 16).reshape(4, 4)])
def test_a_flat_or_inverted_prediction_becomes_the_mean(predicted: np.ndarray) -> None:
    true = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    assert fit_scale_and_shift(predicted.astype(np.float32), true) == (0, pytest.approx(true.mean()))

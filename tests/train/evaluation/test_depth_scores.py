"""Each figure of a disparity against a closed form, brute force or another way to compute it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from dofkit.train.evaluation import depth_scores as scores
from dofkit.train.evaluation.depth_scores import DepthFigures
from dofkit.train.systems import depth_metrics
from dofkit.train.systems.depth_metrics import depth_errors

RNG = np.random.default_rng(0)
MAP = RNG.random((24, 32)).astype(np.float32)


def with_holes(values: np.ndarray) -> np.ndarray:
    """A third of the values unknown."""
    return np.where(np.random.default_rng(1).random(values.shape) < 1 / 3, np.nan, values).astype(np.float32)


@given(st.floats(0.1, 50), st.floats(-20, 20))
def test_normalising_forgets_scale_and_shift(scale: float, shift: float) -> None:
    values = with_holes(MAP)
    found = depth_metrics.normalised((values * np.float32(scale) + np.float32(shift)).astype(np.float32))
    np.testing.assert_allclose(found, depth_metrics.normalised(values), atol=2e-4)
    assert (np.nanmin(found), np.nanmax(found)) == (0, 1)


def test_a_constant_map_lies_in_the_middle_and_keeps_its_holes() -> None:
    found = depth_metrics.normalised(with_holes(np.full((4, 6), 7.0)))
    assert set(found[np.isfinite(found)]) == {np.float32(0.5)}
    assert np.isnan(found).any()


def test_the_error_is_the_mean_where_the_truth_is_known() -> None:
    truth = np.array([[0.0, np.nan], [1.0, 0.5]], np.float32)
    predicted = np.array([[0.2, 9.0], [0.9, 0.5]], np.float32)
    assert scores.mean_absolute_error(predicted, truth) == pytest.approx((0.2 + 0.1 + 0) / 3)


def test_the_curve_is_the_best_non_decreasing_one() -> None:
    truth = with_holes(np.clip(MAP**3 + RNG.normal(0, 0.2, MAP.shape), 0, 1))
    inside = np.isfinite(truth)
    hats = np.maximum(0, 1 - np.abs(MAP[inside][:, None] * 4 - np.arange(5)))  # values at the knots
    cumulated = np.tril(np.ones((5, 5)))  # the first value, then rises
    best = lsq_linear(hats @ cumulated, truth[inside], ([-np.inf, 0, 0, 0, 0], np.inf), tol=1e-12)
    found = scores.monotone_fit(MAP, truth)
    assert np.square(found[inside] - truth[inside]).sum() == pytest.approx(2 * best.cost, rel=1e-5)
    order = np.argsort(MAP, axis=None)
    assert (np.diff(found.ravel()[order]) >= -1e-6).all()


def test_a_truth_that_is_a_monotone_spline_of_the_prediction_has_no_error() -> None:
    truth = np.interp(MAP, [0, 0.25, 0.5, 0.75, 1], [0, 0.5, 0.6, 0.6, 1]).astype(np.float32)
    assert np.abs(scores.monotone_fit(MAP, truth) - truth).max() < 1e-5


def test_near_and_far_confused_leave_the_mean() -> None:
    np.testing.assert_allclose(scores.monotone_fit(MAP, 1 - MAP), 1 - MAP.mean(), atol=1e-5)


def test_figures_after_alignment_forget_scale_and_shift_of_the_prediction() -> None:
    truth = (0.1 + MAP).astype(np.float32)
    found = scores.aligned_depth(3 * MAP - 7, truth, (1 / truth).astype(np.float32))
    assert found["abs_rel"] == pytest.approx(0, abs=1e-5)
    assert (found["delta1"], found["delta2"], found["delta3"]) == (1, 1, 1)
    assert found["rmse"] == pytest.approx(0, abs=1e-4)


def test_figures_after_alignment_are_those_of_their_formulas() -> None:
    truth = with_holes(0.1 + MAP)
    predicted = (truth + RNG.normal(0, 0.2, MAP.shape)).astype(np.float32)
    predicted[np.isnan(predicted)] = 0.3
    inside = np.isfinite(truth)
    metres = (2 / truth).astype(np.float32)
    fit = np.polyfit(predicted[inside].astype(float), (truth / np.nanmax(truth))[inside].astype(float), 1)
    fitted = np.clip(np.polyval(fit, predicted[inside].astype(float)), 0.01, None)
    ratio = (truth / np.nanmax(truth))[inside] / fitted
    worst = np.maximum(ratio, 1 / ratio)
    z = np.minimum(ratio * metres[inside], np.nanmax(metres))
    found = scores.aligned_depth(predicted, truth, metres)
    assert found["abs_rel"] == pytest.approx(np.abs(ratio - 1).mean(), rel=1e-5)
    for power in (1, 2, 3):
        assert found[f"delta{power}"] == pytest.approx((worst < 1.25**power).mean(), abs=2e-3)
    assert found["rmse"] == pytest.approx(np.sqrt(np.square(z - metres[inside]).mean()), rel=1e-4)
    assert "rmse" not in scores.aligned_depth(predicted, truth, None)


def test_the_training_and_the_evaluation_mean_the_same_by_a_depth_error() -> None:
    truth = (0.2 + MAP).astype(np.float32)
    predicted = RNG.random(MAP.shape).astype(np.float32)
    found = scores.aligned_depth(predicted, truth, None)
    of_training = depth_errors(
        torch.from_numpy(predicted), torch.from_numpy(truth / truth.max()), torch.ones(MAP.shape)
    )
    assert (found["abs_rel"], found["delta1"]) == pytest.approx(of_training, abs=2e-3)


def test_order_is_what_all_pairs_say() -> None:
    small = np.random.default_rng(3).random((8, 9)).astype(np.float32)
    predicted = np.round(small + np.random.default_rng(4).normal(0, 0.3, small.shape), 1).astype(np.float32)
    truth = depth_metrics.normalised(small).ravel()
    right = []
    for i, j in itertools.combinations(range(truth.size), 2):
        if abs(truth[i] - truth[j]) >= depth_metrics.ORDER_MARGIN:
            told = np.sign(predicted.ravel()[i] - predicted.ravel()[j])
            right.append((np.sign(truth[i] - truth[j]) * told + 1) / 2)
    assert depth_metrics.ordinal_agreement(predicted, small) == pytest.approx(
        np.mean(right), abs=0.012
    )  # 3 σ of the draw


@pytest.mark.parametrize(("curve", "share"), [(np.exp, 1.0), (np.negative, 0.0), (np.zeros_like, 0.5)])
def test_order_sees_no_monotone_curve(curve, share: float) -> None:
    assert depth_metrics.ordinal_agreement(curve(MAP), with_holes(MAP)) == share


def test_a_flat_truth_has_no_order() -> None:
    assert depth_metrics.ordinal_agreement(MAP, np.ones_like(MAP)) is None
    assert depth_metrics.ordinal_agreement(MAP, np.full_like(MAP, np.nan)) is None


def square(top: int, left: int, height: int, width: int, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    region = np.zeros(shape, bool)
    region[top : top + height, left : left + width] = True
    return region


def test_a_boundary_is_inside_the_region_and_not_at_the_pictures_border() -> None:
    found = scores.boundary(square(0, 10, 5, 6))
    expected = square(0, 10, 5, 6) & ~square(0, 11, 4, 4)
    np.testing.assert_array_equal(found, expected)


def test_boundary_f_is_one_up_to_the_tolerance_and_falls_beyond() -> None:
    subject = square(20, 20, 20, 20)
    assert scores.boundary_f(subject, subject) == 1
    assert scores.boundary_f(square(21, 20, 20, 20), subject) == 1  # 1 % of a diagonal of 100 is one pixel
    assert scores.boundary_f(square(40, 50, 10, 10), subject) == 0


def test_boundary_f_is_that_of_brute_force() -> None:
    ours, subject = square(18, 22, 24, 15), square(20, 20, 20, 20)
    first, second = (np.argwhere(scores.boundary(region)) for region in (ours, subject))
    distance = np.sqrt(np.square(first[:, None] - second[None]).sum(axis=2))
    reach = 0.02 * np.hypot(60, 80)
    precision, recall = (distance.min(axis=1) <= reach).mean(), (distance.min(axis=0) <= reach).mean()
    found = scores.boundary_f(ours, subject, tolerance=0.02)
    assert found == pytest.approx(2 * precision * recall / (precision + recall))
    assert 0 < found < 1


def test_regions_without_a_boundary_agree_only_with_each_other() -> None:
    everything, subject = np.ones((60, 80), bool), square(20, 20, 20, 20)
    assert scores.boundary_f(everything, everything) == 1
    assert scores.boundary_f(everything, subject) == 0


def standing(step: float) -> tuple[np.ndarray, np.ndarray]:
    """A card that stands on a ground whose disparity rises downwards, and lies `step` nearer than the ground there."""
    subject = square(10, 30, 40, 12)
    disparity = np.repeat(np.linspace(0, 1, 60, dtype=np.float32)[:, None], 80, axis=1)
    disparity[subject] = disparity[50, 0] + step
    return disparity, subject


def test_ground_contact_is_the_step_at_the_feet() -> None:
    for step in (0.0, 0.2, -0.1):
        assert depth_metrics.ground_contact(*standing(step)) == pytest.approx(abs(step), abs=0.01)


def test_feet_that_are_cut_off_have_no_ground() -> None:
    disparity, _ = standing(0)
    assert depth_metrics.ground_contact(disparity, square(30, 30, 30, 12)) is None
    assert "contact" not in scores.subject_figures(disparity, square(30, 30, 30, 12))
    assert depth_metrics.ground_contact(disparity, np.zeros_like(disparity, bool)) is None


def test_only_the_columns_of_the_feet_count() -> None:
    disparity, subject = standing(0)
    subject[20:24, 42:60] = True  # an outstretched arm, under which lies something far
    disparity[24:30, 42:60] = 0
    assert depth_metrics.ground_contact(disparity, subject) == pytest.approx(0, abs=0.01)


def test_a_subject_that_stands_out_is_told_in_every_figure() -> None:
    subject = square(15, 20, 30, 30)
    predicted = np.where(subject, 0.9, 0.2).astype(np.float32)
    found = scores.subject_figures(predicted, subject)
    assert (found["subject_nearer"], found["subject_order"], found["in_focus"], found["boundary"]) == (1, 1, 1, 1)
    assert found["contact"] == pytest.approx(0.7)
    behind = scores.subject_figures(1 - predicted, subject)
    assert (behind["subject_nearer"], behind["subject_order"], behind["in_focus"]) == (0, 0, 1)


def test_a_mirrored_map_does_not_change() -> None:
    assert scores.flip_change(MAP, MAP[:, ::-1]) == 0
    assert scores.flip_change(MAP, MAP) == pytest.approx(np.abs(MAP - MAP[:, ::-1]).mean(), abs=1e-6)


def test_a_crop_is_forgiven_scale_and_shift_alone() -> None:
    assert scores.crop_change(MAP, 0.3 * MAP + 0.5) == pytest.approx(0, abs=1e-5)
    flat = scores.crop_change(MAP, np.full_like(MAP, 0.5))
    goal = depth_metrics.normalised(MAP)
    assert flat == pytest.approx(np.abs(goal - goal.mean()).mean(), abs=1e-5)


def test_means_leave_out_pictures_without_the_figure() -> None:
    found = scores.means([DepthFigures(mae=0.1, flip=0.5), DepthFigures(mae=0.3), DepthFigures()])
    assert (found["mae"], found["flip"], found["rmse"]) == (pytest.approx(0.2), 0.5, None)


def test_every_figure_is_explained() -> None:
    assert list(scores.FIGURES) == list(DepthFigures.__dataclass_fields__)

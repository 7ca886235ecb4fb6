"""Closed forms and invariances of the depth losses and of the held-out figures."""

import math

import pytest
import torch

from dofkit.train.systems import depth_losses as losses
from dofkit.train.systems import depth_metrics as metrics

ONES = torch.ones(2, 1, 16, 16)
YES = torch.ones(2)


@pytest.fixture
def disparity() -> torch.Tensor:
    return torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def half_mask() -> torch.Tensor:
    """Subject in the left half, cut off by the lower edge."""
    mask = torch.zeros(2, 1, 16, 16)
    mask[..., :8] = 1
    return mask


@pytest.mark.parametrize("loss", [losses.scale_shift_invariant, losses.gradient_matching])
def test_scale_and_shift_cost_nothing(loss, disparity):
    assert loss(0.3 * disparity + 0.2, disparity, ONES) < 0.02  # not 0: the eps of the standardisation
    assert loss(3000 * disparity + 20, 1000 * disparity, ONES) < 1e-4


@pytest.mark.parametrize("loss", [losses.scale_shift_invariant, losses.gradient_matching])
def test_reversed_disparity_costs(loss, disparity):
    assert loss(1 - disparity, disparity, ONES) > 1


def test_reversed_disparity_costs_twice_the_mean_absolute_deviation(disparity):
    # standardised maps have mean absolute deviation 1 and are each other's negative
    assert losses.scale_shift_invariant(-1000 * disparity, 1000 * disparity, ONES) == pytest.approx(2, abs=1e-3)


@pytest.mark.parametrize("loss", [losses.scale_shift_invariant, losses.gradient_matching])
def test_unknown_pixels_do_not_count(loss, disparity):
    known = ONES.clone()
    known[..., :4] = 0
    other = torch.where(known > 0, disparity, torch.rand_like(disparity))
    torch.testing.assert_close(loss(other, disparity, known), torch.zeros(()), atol=1e-6, rtol=0)


@pytest.mark.parametrize("loss", [losses.scale_shift_invariant, losses.gradient_matching])
def test_samples_without_disparity_leave_the_mean_alone(loss, disparity):
    predicted, known = torch.rand_like(disparity), ONES.clone()
    known[1] = 0
    alone = loss(predicted[:1], disparity[:1], known[:1])
    torch.testing.assert_close(loss(predicted, disparity, known), alone)
    assert loss(predicted, disparity, 0 * ONES) == 0


def test_a_right_and_certain_foreground_costs_nothing(half_mask):
    logits = 40 * (half_mask - 0.5)
    assert losses.foreground(logits, half_mask, YES) < 1e-3
    assert losses.foreground(-logits, half_mask, YES) > 10
    assert losses.foreground(-logits, half_mask, 0 * YES) == 0


def test_a_flat_subject_in_front_by_the_margin_costs_nothing(half_mask):
    assert losses.subject_before_background(0.2 + 0.5 * half_mask, half_mask, YES, margin=0.45) < 1e-6


def test_an_all_flat_disparity_costs_twice_the_margin(half_mask):
    cost = losses.subject_before_background(0 * half_mask + 0.5, half_mask, YES, margin=0.4)
    assert cost == pytest.approx(0.8, abs=1e-4)


def test_a_subject_behind_its_background_costs_more_than_a_flat_one(half_mask):
    behind = losses.subject_before_background(0.5 - 0.4 * half_mask, half_mask, YES)
    assert behind > losses.subject_before_background(0 * half_mask + 0.5, half_mask, YES)


def test_the_ground_at_the_feet_may_be_as_near_as_the_feet():
    mask = torch.zeros(1, 1, 20, 20)
    mask[..., 4:14, 5:15] = 1
    rows = losses.above_the_feet(mask).flatten()
    assert rows[:13].all()
    assert not rows[13:].any()
    mask[..., 14:, 5:15] = 1  # cut off by the frame: there is no ground to spare
    assert losses.above_the_feet(mask).all()


def test_depth_errors_of_a_scaled_and_shifted_truth_are_zero():
    truth = 0.2 + 0.8 * torch.rand(12, 12)
    relative, delta1 = metrics.depth_errors(5 * truth - 2, truth, torch.ones(12, 12))
    assert relative == pytest.approx(0, abs=1e-4)
    assert delta1 == 1


def test_depth_errors_of_a_blind_prediction_have_a_closed_form():
    # half the pixels at disparity 0.25, half at 0.75; blind: 0.5 everywhere, so z'/z is 0.5 and 1.5
    truth = torch.full((4, 4), 0.25)
    truth[:2] = 0.75
    predicted = torch.tensor([[0.0, 1.0, 0.0, 1.0]]).expand(4, 4)  # uncorrelated with the truth
    relative, delta1 = metrics.depth_errors(predicted, truth, torch.ones(4, 4))
    assert relative == pytest.approx(0.5, abs=1e-5)
    assert delta1 == 0


def test_ordinal_accuracy_is_one_half_by_chance_and_one_when_all_pairs_are_right():
    mask = torch.zeros(8, 8)
    mask[:4] = 1
    assert metrics.ordinal_accuracy(mask, mask) == 1
    assert metrics.ordinal_accuracy(1 - mask, mask) == 0
    assert metrics.ordinal_accuracy(torch.ones(8, 8), mask) == 0.5
    assert math.isnan(metrics.ordinal_accuracy(mask, torch.zeros(8, 8)))


def test_in_focus_overlap_counts_background_that_stays_sharp():
    mask = torch.zeros(8, 8)
    mask[:4] = 1
    assert metrics.in_focus_overlap(mask, mask) == 1
    assert metrics.in_focus_overlap(torch.ones(8, 8), mask) == 0.5

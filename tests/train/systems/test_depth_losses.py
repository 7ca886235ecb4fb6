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


def test_scale_and_shift_cost_nothing(disparity):
    loss = losses.scale_shift_invariant
    assert loss(0.3 * disparity + 0.2, disparity, ONES) < 0.02  # not 0: the eps of the standardisation
    assert loss(3000 * disparity + 20, 1000 * disparity, ONES) < 1e-4


def test_a_shift_has_no_gradients_and_a_scale_has(disparity):
    assert losses.gradient_matching(disparity + 0.3, disparity, ONES) < 1e-6
    assert losses.gradient_matching(1.5 * disparity, disparity, ONES) > 0.1


def test_the_gradient_of_a_ramp_has_a_closed_form():
    ramp = torch.arange(16.0).view(1, 1, 1, 16).expand(1, 1, 16, 16)
    # at 1, 1/2 … of the size the ramp rises by 1, 2 … between neighbours; 15 of 16, 7 of 8 … columns have one
    expected = sum(step * (count - 1) / count for step, count in ((1, 16), (2, 8), (4, 4), (8, 2))) / 4
    assert losses.gradient_matching(ramp, 0 * ramp, torch.ones(1, 1, 16, 16)) == pytest.approx(expected)


@pytest.mark.parametrize("loss", [losses.scale_shift_invariant, losses.gradient_matching, losses.difference])
def test_reversed_disparity_costs(loss, disparity):
    assert loss(1 - disparity, disparity, ONES) > 0.3


def test_the_difference_is_the_mean_absolute_one(disparity):
    assert losses.difference(disparity + 0.25, disparity, ONES) == pytest.approx(0.25)


def test_the_target_fills_zero_to_one_but_for_its_tails(disparity):
    target, deep = losses.spanned(0.1 + 0.4 * disparity, ONES)
    assert deep.flatten().tolist() == [1, 1]
    ordered = target[0].flatten().sort().values
    assert ordered[round(0.02 * 255)] == pytest.approx(0, abs=1e-5)
    assert ordered[round(0.98 * 255)] == pytest.approx(1, abs=1e-5)
    # affine: the order and the ratios of differences stay
    slope = (target[0].max() - target[0].min()) / (disparity[0].max() - disparity[0].min())
    torch.testing.assert_close(target[0] - target[0].min(), (disparity[0] - disparity[0].min()) * slope)


def test_a_nearly_flat_scene_stays_so_around_the_middle(disparity):
    target, deep = losses.spanned(0.99 + 0.01 * disparity, ONES)
    assert deep.flatten().tolist() == [0, 0]
    assert (target - 0.5).abs().max() < 0.05
    target, deep = losses.spanned(disparity, 0 * ONES)
    assert torch.equal(target, torch.full_like(target, 0.5))
    assert not deep.any()


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

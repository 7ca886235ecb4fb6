"""Closed forms of what a mask alone teaches: before its background, flat, on its ground, its edge the disparity's."""

from functools import partial

import pytest
import torch

from dofkit.train.systems import depth_subject_losses as losses
from dofkit.train.systems.depth_subject_losses import Stance

YES = torch.ones(1)


@pytest.fixture
def standing() -> torch.Tensor:
    """A subject of 20 rows whose feet are in row 29 of 40."""
    mask = torch.zeros(1, 1, 40, 32)
    mask[..., 10:30, 12:20] = 1
    return mask


@pytest.fixture
def bust() -> torch.Tensor:
    """A subject that the lower edge cuts off."""
    mask = torch.zeros(1, 1, 40, 32)
    mask[..., 10:, 12:20] = 1
    return mask


def ground_plane(feet: int = 29, horizon: int = 5) -> torch.Tensor:
    """Disparity of a floor without anything on it, 0.7 in the row of the feet."""
    rows = torch.arange(40.0).view(1, 1, 40, 1).expand(1, 1, 40, 32)
    return (0.7 * (rows - horizon) / (feet - horizon)).clamp(min=0)


def test_a_stance_knows_top_bottom_and_whether_the_frame_cuts_it(standing, bust):
    stance = Stance.of(torch.cat([standing, bust]))
    assert stance.top.flatten().tolist() == [10, 10]
    assert stance.bottom.flatten().tolist() == [29, 39]
    assert stance.cut_off.flatten().tolist() == [0, 1]
    assert stance.above[0, 0, 29, 0] == 0
    assert stance.above[0, 0, 9, 0] == 1


def test_a_subject_on_a_floor_costs_nothing_at_all(standing):
    """The right answer: the floor runs on behind the feet, so its disparity beside them is nearly theirs."""
    disparity = torch.where(standing > 0, 0.7, ground_plane())
    for loss in (losses.in_front, losses.flat_subject, partial(losses.edge_on_mask, step=0.1)):
        assert loss(disparity, standing, YES) < 0.03
    # the row below the feet is 0.03 nearer than they, which is within reach of the tolerance
    assert losses.ground_contact(disparity, standing, YES) < 0.02


def test_a_flat_map_costs_the_margin_twice(bust):
    assert losses.in_front(0 * bust + 0.5, bust, YES, margin=0.3) == pytest.approx(0.6, abs=1e-4)


def test_a_subject_in_front_by_the_margin_costs_nothing(bust):
    assert losses.in_front(0.2 + 0.3 * bust, bust, YES, margin=0.3) < 1e-6


def test_a_subject_behind_its_background_costs_more_than_a_flat_one(bust):
    assert losses.in_front(0.5 - 0.4 * bust, bust, YES) > losses.in_front(0 * bust + 0.5, bust, YES)


def test_what_lies_below_the_feet_may_be_nearer_than_the_subject(standing):
    disparity = 0.2 + 0.5 * standing
    disparity[..., 30:, :] = 1
    assert losses.in_front(disparity, standing, YES) < 1e-6
    disparity[..., :10, :] = 1
    assert losses.in_front(disparity, standing, YES) > 0.1


def test_a_gap_between_feet_and_ground_costs_its_size(standing):
    disparity = 0.2 + 0.5 * standing  # cut out: the ground is as far as the background
    cost = losses.ground_contact(disparity, standing, YES, tolerance=0.02)
    assert cost == pytest.approx(0.5 - 0.02 + 0.5, abs=1e-4)  # apart, and farther


def test_ground_contact_asks_nothing_of_a_subject_that_the_frame_cuts_off(bust):
    assert losses.ground_contact(0.2 + 0.5 * bust, bust, YES) == 0


def test_flatness_forgives_what_is_within_its_tolerance(bust):
    leaning = bust * torch.linspace(0.65, 0.75, 32).view(1, 1, 1, 32)
    assert losses.flat_subject(leaning, bust, YES, tolerance=0.06) < 1e-6
    assert losses.flat_subject(leaning, bust, YES, tolerance=0.0) > 0.005


def test_an_edge_on_the_mask_costs_less_than_a_soft_or_shifted_one(bust):
    crisp = 0.2 + 0.5 * bust
    soft = torch.nn.functional.avg_pool2d(crisp, 7, 1, 3, count_include_pad=False)
    shifted = crisp.roll(3, dims=3)
    costs = [float(losses.edge_on_mask(x, bust, YES)) for x in (crisp, soft, shifted)]
    assert costs[0] < 1e-3
    assert min(costs[1:]) > 0.03


def test_an_edge_of_no_height_costs_the_step(bust):
    assert losses.edge_on_mask(0 * bust + 0.4, bust, YES, step=0.2) == pytest.approx(0.2, abs=1e-4)


@pytest.mark.parametrize("loss", [losses.in_front, losses.flat_subject, losses.ground_contact, losses.edge_on_mask])
def test_samples_without_the_flag_and_empty_masks_count_nothing(loss, standing):
    noise = torch.rand(2, 1, 40, 32, generator=torch.Generator().manual_seed(0))
    masks = torch.cat([standing, 0 * standing])
    assert loss(noise, masks, torch.zeros(2)) == 0
    alone = loss(noise[:1], standing, YES)
    torch.testing.assert_close(loss(noise, masks, torch.tensor([1.0, 0.0])), alone)
    assert torch.isfinite(loss(noise[1:], masks[1:], YES))

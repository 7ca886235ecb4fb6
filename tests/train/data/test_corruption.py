"""A depth network's mistakes, one by one, on maps whose wrong version is known in closed form."""

import numpy as np
import pytest
from scipy import ndimage

from dofkit.train.data import corruption

SIDE = 64
FAR, NEAR = np.float32(0.2), np.float32(0.8)
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.float32)


def step(edge: int) -> np.ndarray:
    """Near from column `edge` on."""
    return np.where(edge <= COLUMNS, NEAR, FAR)


def bar(width: int) -> np.ndarray:
    """A near bar before a far wall."""
    return np.where((COLUMNS >= 30) & (30 + width > COLUMNS), NEAR, FAR)


def fixed_rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("reach", [1, 4, 9])
def test_dilation_moves_an_edge_towards_the_far_side_and_erosion_towards_the_near_one(reach: int) -> None:
    assert np.array_equal(corruption.dilate(step(30), reach), step(30 - reach))
    assert np.array_equal(corruption.erode(step(30), reach), step(30 + reach))


@pytest.mark.parametrize("reach", [2, 5])
def test_what_is_at_most_twice_the_reach_wide_is_lost_and_what_is_wider_stays_as_it_is(reach: int) -> None:
    assert np.array_equal(corruption.lose_thin(bar(2 * reach), reach), np.full((SIDE, SIDE), FAR))
    assert np.array_equal(corruption.lose_thin(bar(2 * reach + 1), reach), bar(2 * reach + 1))


def test_holes_are_filled_as_thin_things_are_lost_near_and_far_exchanged() -> None:
    rng = fixed_rng()
    disparity = rng.random((SIDE, SIDE), np.float32)
    assert np.allclose(corruption.fill_holes(disparity, 2), 1 - corruption.lose_thin(1 - disparity, 2))


def test_softening_makes_a_step_the_integral_of_a_gaussian() -> None:
    sigma = 3.0
    weights = np.exp(-(np.arange(-40, 41) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    expected = FAR + (NEAR - FAR) * np.array([weights[max(0, 30 - c + 40) :].sum() for c in range(SIDE)])
    assert np.allclose(corruption.soften(step(30), sigma)[20], expected, atol=1e-3)


def test_coarsening_keeps_block_means_and_a_slant() -> None:
    """Averages over 8x8 blocks, bilinear between: a plane stays, but for half a block at the border."""
    plane = 0.1 + 0.005 * ROWS + 0.008 * COLUMNS
    coarse = corruption.coarsen(plane.astype(np.float32), 8)
    assert np.allclose(coarse[4:-4, 4:-4], plane[4:-4, 4:-4], atol=1e-5)
    ramp = corruption.coarsen(step(32), 8)[30]
    assert np.all(np.diff(ramp) >= 0)
    assert np.count_nonzero(np.diff(ramp)) == pytest.approx(8, abs=1)  # one block wide, no sharper


def test_a_warp_takes_every_value_from_within_its_reach() -> None:
    disparity = fixed_rng().random((SIDE, SIDE), np.float32)
    warped = corruption.warp(fixed_rng(), disparity, 3.0)
    assert not np.array_equal(warped, disparity)
    assert np.all(warped <= ndimage.maximum_filter(disparity, 7) + 1e-6)
    assert np.all(warped >= ndimage.minimum_filter(disparity, 7) - 1e-6)


def test_a_warp_moves_edges_but_seldom_invents_a_disparity() -> None:
    warped = corruption.warp(fixed_rng(), step(30), 3.0)
    moved = np.count_nonzero(warped != step(30))
    between = np.count_nonzero((warped > FAR + 1e-5) & (warped < NEAR - 1e-5))
    assert 0 < moved <= SIDE * 7
    assert between <= SIDE * 2  # at most the pixels that the edge crosses


def test_a_misjudged_layer_is_off_and_the_others_are_not() -> None:
    wrong = corruption.misjudge(step(30), centre=0.8, width=0.2, offset=-0.1)
    assert np.allclose(wrong, np.where(COLUMNS >= 30, 0.7, 0.2))
    assert np.allclose(corruption.misjudge(np.full((2, 2), 0.65, np.float32), 0.8, 0.2, 0.1), 0.7)  # half of the error


def test_an_affine_error_is_affine() -> None:
    disparity = fixed_rng().random((SIDE, SIDE), np.float32)
    assert np.allclose(corruption.rescale(disparity, 0.9, 0.03), 0.9 * disparity + 0.03)


@pytest.mark.parametrize("levels", [2, 5, 64])
def test_quantisation_leaves_so_many_levels_and_errs_by_half_a_step(levels: int) -> None:
    disparity = fixed_rng().random((SIDE, SIDE), np.float32)
    stairs = corruption.quantise(disparity, levels)
    assert np.unique(stairs).size == levels
    assert np.abs(stairs - disparity).max() <= 0.5 / (levels - 1) + 1e-6


def test_wavering_has_the_amplitude_asked_for_and_no_bias() -> None:
    error = corruption.waver(fixed_rng(), step(30), 0.01, 1.5) - step(30)
    assert error.std() == pytest.approx(0.01, rel=1e-3)
    assert error.mean() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_corrupted_disparity_is_a_disparity_drawn_from_the_seed_alone(seed: int) -> None:
    first, again = (corruption.corrupt(np.random.default_rng(seed), step(30), 4) for _ in range(2))
    assert np.array_equal(first, again)
    assert first.shape == (SIDE, SIDE)
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 1


def test_corruption_stays_an_error_of_a_few_units_at_the_edge() -> None:
    """Far from every edge the disparity is off by little: a network is not blind."""
    errors = [np.abs(corruption.corrupt(np.random.default_rng(seed), step(32), 2) - step(32)) for seed in range(40)]
    assert np.median([error.max() for error in errors]) > 0.1  # it is wrong somewhere
    away = np.abs(COLUMNS - 32) > 14
    assert np.mean([error[away].mean() for error in errors]) < 0.03

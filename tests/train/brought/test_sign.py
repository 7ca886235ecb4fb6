"""Photos tell a right sign from a wrong one: with dofkit's own network, with true maps, and where they say nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.portrait import depth_input
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.brought.sign import check_sign, sign_cues
from dofkit.train.weights import load_weights

Photo = NDArray[np.uint8]
Map = Callable[[Photo], NDArray[Any]]


@pytest.fixture(scope="module")
def photos() -> list[Photo]:
    return [data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), data.stereo_motorcycle()[0]]


@pytest.fixture(scope="module")
def ours(photos: list[Photo]) -> Map:
    """What our network says, computed once."""
    network = load_weights(Stage.DEPTH)
    with torch.inference_mode():
        maps = {id(p): network(torch.from_numpy(depth_input(p, (128, 128))))[0, 0].numpy() for p in photos}
    return lambda photo: maps[id(photo)]


def ramp(photo: Photo) -> NDArray[Any]:
    """What is below is nearer."""
    return np.repeat(np.linspace(0, 1, 40)[:, None], 30, axis=1)


def inverted(disparity: Map) -> Map:
    return lambda photo: 1 - disparity(photo)


def test_our_network_is_right_and_its_inverse_is_refused(photos: list[Photo], ours: Map) -> None:
    assert check_sign(photos, ours, ours, "mine") == ""
    with pytest.raises(DofkitError, match=r"mine gives near as far .* --assume-sign"):
        check_sign(photos, inverted(ours), ours, "mine")


def test_a_network_unlike_ours_is_judged_by_the_photos(photos: list[Photo], ours: Map) -> None:
    assert check_sign(photos, ramp, ours, "mine") == ""
    with pytest.raises(DofkitError, match="mine gives near as far"):
        check_sign(photos, inverted(ramp), ours, "mine")


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_neither_right_nor_wrong(photos: list[Photo], ours: Map, seed: int) -> None:
    random = np.random.default_rng(seed)
    assert "photos do not tell" in check_sign(photos, lambda _: random.random((96, 96)), ours, "mine")
    assert "photos do not tell" in check_sign(photos, lambda _: np.zeros((9, 9)), ours, "mine")


def test_a_true_map_is_right_in_both_signs(photos: list[Photo], ours: Map) -> None:
    left, _, true = data.stereo_motorcycle()
    true = np.where(np.isfinite(true), true, np.nanmin(true))
    right = sign_cues(left, true, ours(photos[4])).votes
    wrong = sign_cues(left, true.max() - true, ours(photos[4])).votes
    assert sum(right) >= 2
    assert tuple(-vote for vote in right) == wrong


def test_a_sky_is_far(photos: list[Photo]) -> None:
    photo = np.full((80, 80, 3), (60, 70, 40), np.uint8)
    photo[:30] = (200, 220, 250)
    disparity = np.ones((80, 80))
    disparity[:30] = 0
    found = sign_cues(photo, disparity, disparity)
    assert found.sky == pytest.approx(1, abs=0.05)
    assert sign_cues(photos[1], disparity, disparity).sky is None  # a cat indoors

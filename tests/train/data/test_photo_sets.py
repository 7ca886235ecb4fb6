"""Drawn photos as sets and pairs: a seed draws what it always drew, pairs differ by the lens alone."""

import numpy as np
import pytest
import torch

from dofkit.train.data.gan_photos import HeldOutPhotos, UnpairedPhotos, drawn_pairs, drawn_photos
from dofkit.train.data.shallow_photos import PhotoSettings, shallow_photo

SMALL = PhotoSettings(size=32, deep=0.0)


@pytest.mark.parametrize(
    ("seed", "colour", "disparity"),
    [
        ((0, 0), (0.4310, 0.4403, 0.2532), 0.4879),
        ((0, 1), (0.2177, 0.5304, 0.2219), 0.3142),
        ((7, 3), (0.3545, 0.4825, 0.2678), 0.4222),
    ],
)
def test_a_seed_draws_the_photo_it_always_drew(
    seed: tuple[int, int], colour: tuple[float, float, float], disparity: float
) -> None:
    photo = shallow_photo(seed, PhotoSettings())
    assert photo.image.mean(axis=(0, 1)) == pytest.approx(colour, abs=2e-4)
    assert photo.disparity.mean() == pytest.approx(disparity, abs=2e-4)


def test_the_sharp_photo_is_the_same_scene_without_a_lens() -> None:
    shallow, deep = shallow_photo((1, 2), SMALL), shallow_photo((1, 2), PhotoSettings(size=32, deep=1.0))
    assert np.array_equal(shallow.sharp, deep.image)
    assert np.array_equal(deep.sharp, deep.image)
    kept = shallow.subject == 1  # all of the subject is in focus; its rim takes up light from behind
    assert np.median(np.abs(shallow.image - shallow.sharp)[kept]) < 1 / 255
    assert np.abs(shallow.image - shallow.sharp)[shallow.subject == 0].mean() > 4 / 255


def test_pairs_are_the_drawn_photos_and_their_sharp_twins() -> None:
    counted: list[int] = []
    deep, shallow = drawn_pairs(3, 5, SMALL, counted.append)
    assert counted == [1, 2, 3]
    assert np.array_equal(shallow, drawn_photos(3, 5, SMALL))
    assert np.array_equal(deep, drawn_photos(3, 5, PhotoSettings(size=32, deep=1.0)))


def test_unpaired_samples_belong_to_seed_and_index_and_come_in_no_pairs() -> None:
    numbers = np.arange(9, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 4, 4, 3), np.uint8)
    photos = UnpairedPhotos(numbers, numbers, seed=3)
    sample, again = photos[7], UnpairedPhotos(numbers, numbers, seed=3)[7]
    assert sample.keys() == {"deep", "shallow"}
    assert sample["deep"].shape == (3, 4, 4)
    assert all(sample[name].equal(again[name]) for name in sample)
    drawn = torch.tensor([[255 * photos[i][name].max() for name in ("deep", "shallow")] for i in range(200)]).round()
    assert (drawn[:, 0] == drawn[:, 1]).float().mean() < 0.25  # a ninth by chance
    assert len(drawn[:, 0].unique()) == len(drawn[:, 1].unique()) == 9


def test_held_out_samples_are_pairs_where_the_truth_is_known() -> None:
    deep, shallow = drawn_pairs(2, 0, SMALL)
    held_out = HeldOutPhotos(deep, shallow)
    assert len(held_out) == 2
    assert torch.equal((held_out[1]["shallow"] * 255).byte().permute(1, 2, 0), torch.from_numpy(shallow[1]))
    assert HeldOutPhotos(deep)[0].keys() == {"deep"}

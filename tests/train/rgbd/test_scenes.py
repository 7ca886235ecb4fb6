"""Recognised sets as training scenes: what 0 and 1 are, holes, sizes, the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dofkit.train.data.depth import inverse_depth, read_rgbd
from dofkit.train.data.rgbd import DepthMap, DepthMeaning, RgbdPair, recognise
from dofkit.train.data.rgbd_scenes import read_scenes, scene_disparity, scene_of

from .written import METRES, PHOTO, counted, kinect, write_grey, write_photo

HOLED = np.where(np.arange(48).reshape(6, 8) % 7 == 3, np.nan, METRES).astype(np.float32)


def test_depth_becomes_what_the_training_calls_disparity() -> None:
    np.testing.assert_allclose(scene_disparity(DepthMap(HOLED, DepthMeaning.METRES)), inverse_depth(HOLED), rtol=1e-6)


@pytest.mark.parametrize("meaning", [DepthMeaning.INVERSE_METRES, DepthMeaning.PROPORTIONAL])
def test_disparity_with_a_known_infinity_keeps_it_at_zero(meaning: DepthMeaning) -> None:
    np.testing.assert_allclose(scene_disparity(DepthMap(HOLED, meaning)), HOLED / np.nanmax(HOLED), rtol=1e-6)


def test_disparity_up_to_a_shift_is_stretched() -> None:
    found = scene_disparity(DepthMap(HOLED - 5, DepthMeaning.AFFINE))
    np.testing.assert_allclose(found, (HOLED - np.nanmin(HOLED)) / (np.nanmax(HOLED) - np.nanmin(HOLED)), atol=1e-6)


def test_a_map_without_values_stays_unknown_and_a_flat_one_is_finite() -> None:
    assert np.isnan(scene_disparity(DepthMap(np.full((2, 2), np.nan, np.float32), DepthMeaning.METRES))).all()
    assert np.isfinite(scene_disparity(DepthMap(np.ones((2, 2), np.float32), DepthMeaning.AFFINE))).all()


def test_a_scene_has_the_photos_size_and_what_the_pair_knows() -> None:
    mask = np.zeros((3, 4), np.float32)
    mask[1] = 1
    scene = scene_of(RgbdPair("a", PHOTO, DepthMap(HOLED, DepthMeaning.METRES), mask, "test", ()), side=4)
    assert scene.image.size == (4, 3)
    assert scene.disparity is not None
    assert scene.subject is not None
    assert scene.disparity.size == scene.subject.size == (4, 3)
    assert np.asarray(scene.subject)[1].tolist() == [255] * 4
    assert scene_of(RgbdPair("a", PHOTO, None, mask, "test", ()), 4).disparity is None


def test_a_folder_reads_the_same_by_either_way(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_photo(tmp_path / f"images/{name}.png")
        write_grey(tmp_path / f"disparity/{name}.png", counted(20000))
    old, new = read_rgbd(tmp_path, 8)[0].scenes, read_scenes(recognise(tmp_path), 8)[0].scenes
    for before, after in zip(old, new, strict=True):
        np.testing.assert_array_equal(np.asarray(before.image), np.asarray(after.image))
        first, second = (np.asarray(scene.disparity) for scene in (before, after))
        np.testing.assert_array_equal(np.isnan(first), np.isnan(second))
        assert np.corrcoef(first[np.isfinite(first)], second[np.isfinite(second)])[0, 1] == pytest.approx(1)


def test_blocks_of_neighbours_are_held_out(tmp_path: Path) -> None:
    for number in range(60):
        kinect(tmp_path, f"color/{number:03d}.png", f"depth/{number:03d}.png", counted(1000))
    training, held = read_scenes(recognise(tmp_path), 8)
    assert (len(training.scenes), len(held.scenes)) == (29, 25)

"""Recognised sets as training scenes: what 0 and 1 are, holes, sizes, the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dofkit.train.data.rgbd import DepthMap, DepthMeaning, RgbdPair, recognise
from dofkit.train.data.rgbd_scenes import read_scenes, scene_disparity, scene_of

from .written import METRES, PHOTO, counted, kinect

HOLED = np.where(np.arange(48).reshape(6, 8) % 7 == 3, np.nan, METRES).astype(np.float32)


def test_depth_becomes_disparity_in_proportion_and_holes_stay_unknown() -> None:
    metres = np.array([[0.5, 1.0], [2.0, 0.0]], np.float32)
    np.testing.assert_allclose(scene_disparity(DepthMap(metres, DepthMeaning.METRES)), [[1, 0.5], [0.25, np.nan]])


def test_readings_nearer_than_a_depth_camera_sees_are_unknown() -> None:
    metres = np.array([[0.05, 0.2, 0.4]], np.float32)
    np.testing.assert_allclose(scene_disparity(DepthMap(metres, DepthMeaning.METRES)), [[np.nan, 1, 0.5]])


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


def test_blocks_of_neighbours_are_held_out(tmp_path: Path) -> None:
    for number in range(60):
        kinect(tmp_path, f"color/{number:03d}.png", f"depth/{number:03d}.png", counted(1000))
    training, held = read_scenes(recognise(tmp_path), 8)
    assert (len(training.scenes), len(held.scenes)) == (29, 25)

"""Composites: feet are as near as the ground they stand on, edges lie on the coverage's, what is nearer hides."""

import numpy as np
import pytest
from PIL import Image

from dofkit.train.data.depth import Folder, Scene
from dofkit.train.data.depth_composites import Composites, Posters, is_floor, is_plane
from dofkit.train.data.depth_cutouts import (
    Canvas,
    Cutout,
    DrawnCutouts,
    MaskCutouts,
    come_close,
    near_plane,
    stand,
)
from dofkit.train.data.depth_grounds import Grounds, Pages, Pictures

HEIGHT, WIDTH, HORIZON = 120, 160, 30


def floor() -> np.ndarray:
    """Disparity of a ground plane, 0 at and above the horizon, 1 in the last row."""
    rows = np.tile(np.arange(HEIGHT)[:, None], (1, WIDTH))
    return (np.clip(rows - HORIZON, 0, None) / (HEIGHT - 1 - HORIZON)).astype(np.float32)


def canvas() -> Canvas:
    return Canvas.of(np.full((HEIGHT, WIDTH, 3), 40.0), floor())


def block(whole: bool = True) -> Cutout:
    return Cutout(Image.new("RGB", (20, 60), (250, 10, 10)), Image.new("L", (20, 60), 255), whole)


@pytest.fixture(scope="module")
def drawn() -> DrawnCutouts:
    return DrawnCutouts(count=6, side=64)


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return Pictures(drawn=4, side=64)


@pytest.mark.parametrize("row", [60, 80, 100])
def test_feet_are_as_near_as_the_ground_that_they_stand_on(row):
    scene = canvas()
    stand(scene, block(), (80, row), float(floor()[row, 80]), 40, np.random.default_rng(row))
    inside = scene.subject > 0.5
    feet = np.flatnonzero(inside.any(axis=1))[-1]
    columns = np.flatnonzero(inside[feet - 2])
    assert abs(scene.disparity[feet, columns] - scene.disparity[feet + 1, columns]).max() < 0.03
    # and higher up the ground behind is farther: at the head by all that the floor has fallen off
    head = np.flatnonzero(inside.any(axis=1))[0] + 2
    fall = floor()[row, 80] - floor()[head, 80]
    assert np.median(scene.disparity[head, columns]) - scene.disparity[head, 0] == pytest.approx(fall, abs=0.05)


def test_the_disparitys_edge_lies_on_the_coverages():
    scene = canvas()
    scene.set_in(block(), (80, 90), 60, np.full((HEIGHT, WIDTH), 0.9, np.float32), np.random.default_rng(0))
    row = 50  # half way up, the floor behind is far away
    jumps = np.flatnonzero(np.abs(np.diff(scene.disparity[row])) > 0.3)
    halves = np.flatnonzero(np.abs(np.diff((scene.subject[row] > 0.5).astype(int))))
    np.testing.assert_array_equal(jumps, halves)
    np.testing.assert_array_equal(jumps, [69, 89])  # 20 pixels wide around 80


def test_what_is_nearer_hides_a_subject_and_keeps_its_own_disparity():
    scene = canvas()
    scene.disparity[:, 70:80] = 0.95  # a post in front
    before = scene.picture[:, 70:80].copy()
    plane = near_plane((HEIGHT, WIDTH), 0.5, (80, 75), np.random.default_rng(1))
    scene.set_in(block(), (80, 75), 60, plane, np.random.default_rng(0))
    np.testing.assert_array_equal(scene.picture[:60, 70:80], before[:60])
    assert (scene.disparity[:, 70:80] == np.float32(0.95)).all()
    assert scene.subject[:60, 70:80].max() == 0
    assert scene.subject[50, 84] == 1


def test_a_later_nearer_subject_takes_from_the_mask_of_an_earlier_one():
    scene = canvas()
    stand(scene, block(), (60, 70), float(floor()[70, 60]), 40, np.random.default_rng(0))
    first = scene.subject.copy()
    stand(scene, block(), (64, 115), float(floor()[115, 64]), 100, np.random.default_rng(1))
    assert scene.subject.sum() > first.sum()  # the larger one is the subject now
    assert scene.subject[60, 46] < 0.01


def test_a_subject_that_its_photo_cut_off_does_not_stand():
    scene = canvas()
    stand(scene, block(whole=False), (80, 90), 0.6, 40, np.random.default_rng(0))
    assert not scene.subject.any()


def test_a_close_subject_reaches_the_lower_edge_and_is_nearest():
    for seed in range(5):
        scene = canvas()
        come_close(scene, block(whole=False), 1.4, np.random.default_rng(seed))
        assert (scene.subject[-1] > 0.5).any()
        assert scene.disparity[scene.subject > 0.5].min() > 1


def test_what_is_behind_loses_focus_and_what_is_level_keeps_it():
    scene = canvas()
    scene.picture += np.random.default_rng(0).normal(0, 40, scene.picture.shape).astype(np.float32)
    before = scene.picture.copy()
    scene.soften(1.0, 3)
    assert scene.picture[5:25].std() < 0.4 * before[5:25].std()
    np.testing.assert_allclose(scene.picture[-3:], before[-3:], atol=1e-3)


def test_a_scene_is_normalised_and_says_that_its_edges_are_exact():
    made = canvas()
    come_close(made, block(), 2.0, np.random.default_rng(0))
    scene = made.scene()
    assert scene.exact
    assert np.asarray(scene.disparity).max() == pytest.approx(1)


@pytest.mark.parametrize(("foot", "expected"), [((80, 100), True), ((80, 20), False), ((80, 28), False)])
def test_a_floor_is_found_where_disparity_grows_towards_the_camera(foot, expected):
    assert is_floor(floor(), foot) is expected
    wall = np.full((HEIGHT, WIDTH), 0.5, np.float32)
    assert not is_floor(wall, foot)
    assert not is_floor(floor()[::-1], foot)
    assert not is_floor(np.where(floor() > 0.5, np.nan, floor()), (80, 100))


def test_any_plane_is_flat_and_a_step_is_not():
    rows, columns = np.mgrid[:40, :60]
    assert is_plane(0.3 + 0.002 * rows + 0.001 * columns)
    assert not is_plane(np.where(columns > 30, 0.5, 0.3))
    assert not is_plane(np.where(columns > 30, np.nan, 0.3))


def wall() -> Scene:
    return Scene(
        Image.new("RGB", (WIDTH, HEIGHT), (120, 120, 120)), Image.fromarray(np.full((HEIGHT, WIDTH), 0.5, np.float32))
    )


def test_a_poster_changes_the_picture_and_not_the_disparity(pictures):
    scene = Posters(pictures, Folder([wall()])).scene(np.random.default_rng(0))
    assert (np.asarray(scene.image) != 120).any()
    assert (np.asarray(scene.disparity) == 0.5).all()


def test_no_poster_hangs_where_there_is_no_wall(pictures):
    bumpy = np.random.default_rng(0).random((HEIGHT, WIDTH)).astype(np.float32)
    scene = Scene(Image.new("RGB", (WIDTH, HEIGHT)), Image.fromarray(bumpy))
    assert Posters(pictures, Folder([scene])).scene(np.random.default_rng(0)) is scene


def test_a_page_is_flat_whatever_is_printed_on_it(pictures):
    for seed in range(4):
        scene = Pages(pictures, 96).scene(np.random.default_rng(seed))
        assert is_plane(np.asarray(scene.disparity))
        assert np.asarray(scene.image).std() > 1


def test_built_scenes_have_a_far_top_a_near_bottom_and_subjects_before_what_they_hide(drawn, pictures):
    seen = 0
    for seed in range(12):
        scene = Grounds(drawn, pictures, 96).scene(np.random.default_rng(seed))
        disparity = np.asarray(scene.disparity)
        assert disparity.max() == pytest.approx(1)
        assert disparity[0].min() <= disparity[-1].min() + 1e-6
        if scene.subject is not None:
            inside = np.asarray(scene.subject) > 127
            seen += bool(inside.any()) and disparity[inside].mean() > disparity[~inside].mean()
    assert seen >= 6


def test_composites_in_a_room_are_exact_and_repeat(drawn):
    room = Scene(Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90)), Image.fromarray(0.2 + 0.8 * floor()))
    source = Composites(drawn, Folder([room]))
    first, again = (source.scene(np.random.default_rng(5)) for _ in range(2))
    assert first.exact
    np.testing.assert_array_equal(np.asarray(first.image), np.asarray(again.image))
    np.testing.assert_array_equal(np.asarray(first.disparity), np.asarray(again.disparity))


def test_cutouts_know_whether_their_photo_cut_them_off():
    def masked(bottom: int) -> Scene:
        mask = np.zeros((64, 64), np.uint8)
        mask[10:bottom, 20:40] = 255
        return Scene(Image.new("RGB", (64, 64)), subject=Image.fromarray(mask))

    empty = Scene(Image.new("RGB", (64, 64)), subject=Image.new("L", (64, 64)))
    cutouts = MaskCutouts([Folder([masked(50), masked(64), empty])]).cutouts
    assert [cutout.whole for cutout in cutouts] == [True, False]
    assert cutouts[0].coverage.size == (18, 38)  # a rim of one pixel is left behind

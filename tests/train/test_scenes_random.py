"""Random scenes and the samples cut from them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.data.render_samples import SceneLevels, SceneStore, TrainingWindows, WholeScenes, levels_of
from dofkit.train.data.scenes import SceneSettings, random_scene
from dofkit.train.data.sources import Sources, find_sources
from dofkit.train.data.textures import random_shape, random_texture
from dofkit.train.rendering.layered import SceneLens

SETTINGS = SceneSettings(size=64, levels=1)


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of photos and one of cut-outs, thirty of each."""
    rng = np.random.default_rng(0)
    for name in ("photos", "cutouts/images", "cutouts/masks"):
        (tmp_path / name).mkdir(parents=True)
    mask = np.zeros((40, 30), np.uint8)
    mask[8:32, 8:22] = 255
    for i in range(30):
        for name in ("photos", "cutouts/images"):
            Image.fromarray(rng.integers(0, 255, (40, 30, 3), np.uint8)).save(tmp_path / name / f"{i}.png")
        Image.fromarray(mask).save(tmp_path / "cutouts/masks" / f"{i}.png")
    return tmp_path / "photos", tmp_path / "cutouts"


def test_a_seed_determines_its_scene() -> None:
    first, again = (random_scene((3, 5), SETTINGS, Sources()) for _ in range(2))
    other = random_scene((3, 6), SETTINGS, Sources())
    assert np.array_equal(first.blurred, again.blurred)
    assert first.lens == again.lens
    assert not np.array_equal(first.sharp, other.sharp)


@pytest.mark.parametrize("seed", range(6))
def test_scenes_keep_to_their_ranges_and_to_eight_pixels_at_the_lowest_level(seed: int) -> None:
    scene = random_scene((0, seed), SETTINGS, Sources())
    for plane in (scene.sharp, scene.blurred, scene.disparity):
        assert plane.shape[:2] == (64, 64)
        assert plane.dtype == np.float32
        assert plane.min() >= 0
        assert plane.max() <= 1
    assert scene.lens.radius(scene.disparity).max() <= 8 * SETTINGS.unit


def test_scenes_use_the_folders_they_are_given(pictures: tuple[Path, Path]) -> None:
    sources = find_sources([pictures[0]], [pictures[1]], held_out=False)
    settings = SceneSettings(size=64, levels=1, real=1.0)
    real, drawn = random_scene((0, 0), settings, sources), random_scene((0, 0), settings, Sources())
    assert not np.array_equal(real.sharp, drawn.sharp)


def test_no_file_is_both_trained_on_and_held_out(pictures: tuple[Path, Path]) -> None:
    trained, held_out = (find_sources([pictures[0]], [pictures[1]], held_out=part) for part in (False, True))
    assert len(trained.photos) + len(held_out.photos) == 30
    assert len(trained.cutouts) + len(held_out.cutouts) == 30
    assert held_out.photos
    assert held_out.cutouts
    assert not set(trained.photos) & set(held_out.photos)
    assert not set(trained.cutouts) & set(held_out.cutouts)


def test_a_folder_without_pictures_is_named_with_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match=r"no photos in .*\.jpg"):
        find_sources([tmp_path], [], held_out=False)
    with pytest.raises(DofkitError, match=r"needs images/NAME\.jpg beside masks/NAME\.png"):
        find_sources([], [tmp_path], held_out=False)


@pytest.mark.parametrize("seed", range(12))
def test_textures_and_shapes_fill_any_size(seed: int) -> None:
    texture = random_texture(np.random.default_rng(seed), (50, 70))
    shape = random_shape(np.random.default_rng(seed), (50, 70))
    assert texture.shape == (50, 70, 3)
    assert shape.shape == (50, 70)
    for plane in (texture, shape):
        assert plane.min() >= 0
        assert plane.max() <= 1


def test_levels_are_area_averages_and_defocus_is_in_pixels_of_its_level() -> None:
    scene = random_scene((0, 1), SETTINGS, Sources())
    levels = levels_of(scene, 1)
    assert [image.shape for image in levels.images] == [(32, 32, 3), (64, 64, 3)]
    assert levels.images[0][0, 0, 0] / 255 == pytest.approx(scene.sharp[:2, :2, 0].mean(), abs=0.51 / 255)
    lens = SceneLens(focus=0.5, aperture=0.5, long_side=640)  # 8 px for all of the range, at full size
    defocus = SceneLevels(levels.images, levels.truths, levels.disparities, lens).defocus
    disparity = np.array([0, 0.5, 0.75, 1], np.float32)
    assert defocus(1, disparity).tolist() == [-0.5, 0, 0.25, 0.5]
    assert defocus(0, disparity).tolist() == [-0.25, 0, 0.125, 0.25]
    assert abs(SceneLevels([], [], [], SceneLens(0.0, 1.0, 1280)).defocus(-1, disparity)).max() == 1  # clipped


def test_a_stored_scene_is_the_one_drawn(tmp_path: Path) -> None:
    store = SceneStore(tmp_path, 0, SETTINGS, Sources())
    drawn = levels_of(random_scene((0, 4), SETTINGS, Sources()), 1)
    for read in (store[4], SceneStore(tmp_path, 0, SETTINGS, Sources())[4]):
        assert np.array_equal(read.truths[1], drawn.truths[1])
        assert np.array_equal(read.disparities[0], drawn.disparities[0])
        assert read.lens == drawn.lens


def test_a_half_written_scene_is_rendered_again(tmp_path: Path) -> None:
    (tmp_path / "000002.npz").write_bytes(b"PK")
    assert SceneStore(tmp_path, 0, SETTINGS, Sources())[2].images[1].shape == (64, 64, 3)


def test_windows_of_neighbouring_levels_show_the_same_place(tmp_path: Path) -> None:
    store = SceneStore(tmp_path, 0, SceneSettings(size=64, levels=2), Sources())
    windows = TrainingWindows(store, 0, halo=4, reuse=1, core=12, window=8)
    sample = windows[3]
    assert sample["image"].shape == (3, 20, 20)
    assert sample["blurred"].shape == (3, 12, 12)
    below, around = sample["image"][:, 4:-4, 4:-4], sample["defocus"][:, 4:-4, 4:-4]
    for step in sample["steps"]:
        y, x = step["offset"].tolist()
        assert step["image_low"].equal(below[:, y : y + 8, x : x + 8])
        if around is not None:
            assert step["defocus_low"].equal(around[:, y : y + 8, x : x + 8])
        high = step["image_high"]
        assert high.unfold(1, 2, 2).unfold(2, 2, 2).mean(dim=(3, 4)).allclose(step["image_low"], atol=1.01 / 255)
        below, around = high, None


def test_a_sample_is_determined_by_its_index(tmp_path: Path) -> None:
    store = SceneStore(tmp_path, 0, SceneSettings(size=32, levels=1), Sources())
    first, again = (TrainingWindows(store, 0, halo=4, reuse=4)[7] for _ in range(2))
    assert first["image"].equal(again["image"])
    assert first["steps"][0]["offset"].equal(again["steps"][0]["offset"])


def test_whole_scenes_hold_every_level_and_end_where_they_should(tmp_path: Path) -> None:
    scenes = WholeScenes(SceneStore(tmp_path, 0, SETTINGS, Sources()), 2)
    assert len([scenes[i] for i in range(len(scenes))]) == 2
    assert [image.shape[-1] for image in scenes[0]["images"]] == [32, 64]
    with pytest.raises(IndexError):
        scenes[2]

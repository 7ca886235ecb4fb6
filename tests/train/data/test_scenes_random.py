"""Random scenes and the samples cut from them."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.data.render_samples import SceneStore, TrainingWindows, WholeScenes
from dofkit.train.data.scene_levels import ScenePlanes
from dofkit.train.data.scenes import EXTREME, SceneSettings, random_layers, random_lens, random_scene, seen_disparity
from dofkit.train.data.sources import Sources, find_sources
from dofkit.train.data.surfaces import emit
from dofkit.train.data.textures import random_texture
from dofkit.train.rendering.layered import SceneLayer, SceneLens, render
from dofkit.train.rendering.lens import to_linear

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
    for plane in (scene.sharp, scene.blurred, scene.disparity, scene.corrupted):
        assert plane.shape[:2] == (64, 64)
        assert plane.dtype == np.float32
        assert plane.min() >= 0
        assert plane.max() <= 1
    assert scene.lens.radius(scene.disparity).max() <= 8 * SETTINGS.unit


def some_layers(seed: int) -> list[SceneLayer]:
    return random_layers(np.random.default_rng(seed), (64, 64), SETTINGS, Sources())


def test_one_lens_in_ten_is_wide_open_and_focused_at_an_end() -> None:
    rng, layers = np.random.default_rng(0), some_layers(0)
    lenses = [random_lens(rng, layers, SETTINGS) for _ in range(1000)]
    ends = [lens.focus for lens in lenses if lens.aperture == 1.0 and lens.focus in (0.0, 1.0)]
    assert len(ends) / 1000 == pytest.approx(EXTREME, abs=0.03)
    assert sum(ends) / len(ends) == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("seed", range(20))
def test_no_layer_reaches_through_the_one_before_it(seed: int) -> None:
    layers = some_layers(seed)
    assert 2 <= len(layers) <= 5
    assert layers[0].alpha.min() == 1
    for behind, front in pairwise(layers):
        assert (front.disparity >= behind.disparity - 1e-6).all()


def test_surfaces_are_flat_slanted_and_curved() -> None:
    """Slanted ones are affine to the last bits, so that rays meet them in closed form."""
    rows, columns = np.mgrid[:64, :64]
    plane = np.stack([np.ones(64 * 64), rows.ravel(), columns.ravel()], axis=1)
    kinds = {"flat": 0, "slanted": 0, "curved": 0}
    for disparity in (layer.disparity for seed in range(20) for layer in some_layers(seed)):
        fitted = plane @ np.linalg.lstsq(plane, disparity.ravel(), rcond=None)[0]
        affine = np.abs(fitted - disparity.ravel()).max() < 1e-5
        kinds["curved" if not affine else "slanted" if np.ptp(disparity) > 1e-5 else "flat"] += 1
    assert min(kinds.values()) >= 5


def test_focus_is_often_on_the_nearest_layer_and_often_on_the_farthest() -> None:
    """Both blurs are learnt: of what is behind a sharp subject, and of what hangs before a sharp background."""
    drawn = [layers for layers in map(some_layers, range(12)) if (layers[-1].alpha > 0.5).any()]
    lenses = [
        (layers, random_lens(np.random.default_rng(seed), layers, SETTINGS)) for seed in range(100) for layers in drawn
    ]
    farthest = [lens.focus == np.median(layers[0].disparity) for layers, lens in lenses]
    nearest = [lens.focus == np.median(layers[-1].disparity[layers[-1].alpha > 0.5]) for layers, lens in lenses]
    assert np.mean(farthest) > 0.2
    assert np.mean(nearest) > 0.25
    assert np.mean([lens.aperture > 0.5 for _, lens in lenses]) > 0.5


def test_a_scene_that_is_a_whole_photo_has_its_long_side() -> None:
    scene = random_scene((0, 0), SceneSettings(size=64, levels=1, whole=True), Sources())
    assert scene.sharp.shape == (64, 64, 3)
    assert scene.lens.long_side == 64


def test_the_truth_is_what_the_renderer_given_makes_of_the_layers() -> None:
    """A lens that lets half of the light through."""
    whole = random_scene((0, 1), SETTINGS, Sources())
    dim = random_scene((0, 1), SETTINGS, Sources(), lambda layers, lens: render(layers, lens) * np.float32(0.5))
    unclipped = whole.blurred < 0.999
    assert np.allclose(to_linear(dim.blurred)[unclipped], to_linear(whole.blurred)[unclipped] / 2, atol=1e-4)
    assert np.array_equal(dim.sharp, whole.sharp)
    assert np.array_equal(dim.corrupted, whole.corrupted)


def test_disparity_is_that_of_the_nearest_layer_that_covers_half() -> None:
    light, alpha = np.zeros((1, 3, 3), np.float32), np.ones((1, 3), np.float32)
    cover = np.array([[1, 0.6, 0.4]], np.float32)
    layers = [SceneLayer(light, alpha, alpha * 0.25), SceneLayer(light, cover, alpha * 0.75)]
    assert seen_disparity(layers).tolist() == [[0.75, 0.75, 0.25]]


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


def test_small_clipped_spots_shine_in_a_third_of_the_pictures_and_large_areas_in_none() -> None:
    picture = np.full((160, 160, 3), 0.5, np.float32)
    picture[20:22, 20:22] = 1
    picture[80:140, 80:140] = 1
    light = [emit(np.random.default_rng(seed), picture) for seed in range(200)]
    plain = [each for each in light if each[100, 100, 0] == pytest.approx(1, abs=1e-5)]  # no lamps, which dim the rest
    spots = np.array([each[20, 20, 0] for each in plain])
    assert len(plain) > 120
    assert 0.22 < (spots > 1.01).mean() < 0.45
    assert all(1.49 < spot < 7.01 for spot in spots if spot > 1.01)
    assert all(each[10, 10, 0] == pytest.approx(to_linear(picture[10, 10])[0], abs=1e-5) for each in plain)


def test_no_rim_of_a_large_clipped_area_shines() -> None:
    y, x = np.mgrid[:161, :161]
    area = ((y - 80) ** 2 + (x - 80) ** 2 < 45**2) | ((abs(y - 80) < 1) & (x > 100) & (x < 150))  # a disc with a spike
    picture = np.where(area, 1.0, 0.5)[..., None].repeat(3, axis=2).astype(np.float32)
    picture[5:8, 5:8] = 1
    light = [emit(np.random.default_rng(seed), picture) for seed in range(60)]
    plain = [each for each in light if each[80, 80, 0] == pytest.approx(1, abs=1e-5)]  # no lamps, which dim the rest
    assert any(each[6, 6, 0] > 1.4 for each in plain)
    assert all(each[area].max() == pytest.approx(1, abs=1e-5) for each in plain)


@pytest.mark.parametrize("seed", range(12))
def test_textures_fill_any_size(seed: int) -> None:
    texture = random_texture(np.random.default_rng(seed), (50, 70))
    assert texture.shape == (50, 70, 3)
    assert texture.min() >= 0
    assert texture.max() <= 1


def test_levels_are_means_of_light_and_the_nearest_disparity_and_defocus_is_in_pixels_of_its_level() -> None:
    scene = random_scene((0, 1), SETTINGS, Sources())
    levels = ScenePlanes.of(scene, 1).seen()
    assert [image.shape for image in levels.images] == [(32, 32, 3), (64, 64, 3)]
    light = np.square(scene.sharp[:2, :2, 0]).mean()  # light as the square of the encoded value, as in `halve`
    assert levels.images[0][0, 0, 0] / 255 == pytest.approx(np.sqrt(light), abs=0.51 / 255)
    assert levels.disparity[0][0, 0] / 65535 == pytest.approx(scene.disparity[:2, :2].max(), abs=1e-4)
    lens = SceneLens(focus=0.5, aperture=0.5, long_side=640)  # 8 px for all of the range, at full size
    defocus = replace(levels, lens=lens).defocus
    disparity = np.array([0, 0.5, 0.75, 1], np.float32)
    assert defocus(1, disparity).tolist() == [-0.5, 0, 0.25, 0.5]
    assert defocus(0, disparity).tolist() == [-0.25, 0, 0.125, 0.25]
    assert abs(replace(levels, lens=SceneLens(0.0, 1.0, 1280)).defocus(1, disparity)).max() == 1  # clipped


def test_a_stored_scene_is_the_one_drawn(tmp_path: Path) -> None:
    store = SceneStore(tmp_path, 0, SETTINGS, Sources())
    drawn = ScenePlanes.of(random_scene((0, 4), SETTINGS, Sources()), 1)
    for read in (store[4], SceneStore(tmp_path, 0, SETTINGS, Sources())[4]):
        assert np.array_equal(read.truths[1], drawn.truths[1])
        assert np.array_equal(read.disparity, drawn.disparity)
        assert np.array_equal(read.corrupted, drawn.corrupted)
        assert read.lens == drawn.lens


def test_a_scene_under_a_weak_blur_starts_a_level_higher_and_keeps_one_upsampling() -> None:
    scene = random_scene((0, 4), SceneSettings(size=64, levels=2), Sources())
    scene.disparity[0, 0], scene.corrupted[0, 0] = 0, 1  # 1280 / 40 / 2 = 16 pixels of level 1 for all of the range
    for aperture, focus, first in ((0.51, 0.0, 0), (0.5, 0.0, 1), (0.51, 0.5, 1), (1.0, 0.5, 1), (1.0, 0.4, 0)):
        levels = ScenePlanes.of(replace(scene, lens=SceneLens(focus, aperture, 1280)), 2).seen()
        assert levels.first == first
        assert [len(image) for image in levels.images] == [16, 32, 64][first:]
        assert [len(truth) for truth in levels.truths] == [16, 32, 64][first:]
        assert [len(plane) for plane in levels.disparity] == [16, 32, 64][first:]
        assert len(levels.filled) == len(levels.images[0])
        radius = aperture * (1 - focus) * 1280 / 40 * len(levels.images[0]) / 64
        assert levels.defocus(0, np.array([1], np.float32)) == pytest.approx(min(1, radius / 8))
    assert ScenePlanes.of(replace(scene, lens=SceneLens(0.5, 0.1, 1280)), 1).seen().first == 0


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
            assert (step["defocus_low"] >= around[:, y : y + 8, x : x + 8]).all()  # nearer where thin things touch
        high = step["image_high"]
        light = high.square().unfold(1, 2, 2).unfold(2, 2, 2).mean(dim=(3, 4))
        assert light.sqrt().allclose(step["image_low"], atol=1.01 / 255)
        below, around = high, None


def test_a_sample_is_determined_by_its_index(tmp_path: Path) -> None:
    store = SceneStore(tmp_path, 0, SceneSettings(size=32, levels=1), Sources())
    first, again = (TrainingWindows(store, 0, halo=4, reuse=4)[7] for _ in range(2))
    assert first["image"].equal(again["image"])
    assert first["steps"][0]["offset"].equal(again["steps"][0]["offset"])


def test_the_share_of_windows_asked_for_sees_the_corrupted_disparity(tmp_path: Path) -> None:
    def defocus(corrupted: float, index: int):
        settings = SceneSettings(size=32, levels=1, corrupted=corrupted)
        return TrainingWindows(SceneStore(tmp_path, 0, settings, Sources()), 0, halo=4, reuse=40)[index]["defocus"]

    true, wrong, mixed = ([defocus(share, index) for index in range(30)] for share in (0.0, 1.0, 0.5))
    differ = [index for index in range(30) if not true[index].equal(wrong[index])]
    seen_wrong = [mixed[index].equal(wrong[index]) for index in differ]
    assert all(mixed[index].equal(true[index]) or mixed[index].equal(wrong[index]) for index in range(30))
    assert 0.25 < np.mean(seen_wrong) < 0.75


def test_a_scene_stored_in_an_older_format_is_rendered_again(tmp_path: Path) -> None:
    store = SceneStore(tmp_path, 0, SETTINGS, Sources())
    fresh = store[1]
    with np.load(tmp_path / "000001.npz") as stored:
        older = {name: stored[name] for name in stored.files if not name.startswith("corrupted")}
    np.savez(tmp_path / "000001.npz", **older)
    assert np.array_equal(store[1].corrupted, fresh.corrupted)


def test_whole_scenes_see_the_true_disparity_unless_told_otherwise(tmp_path: Path) -> None:
    store = SceneStore(tmp_path, 0, SETTINGS, Sources())
    for corrupted, at_full_size in ((False, store[0].disparity), (True, store[0].corrupted)):
        shown, levels = WholeScenes(store, 1, corrupted)[0], store[0].seen(corrupted)
        for level, seen, plane in ((1, shown["defocus"][1], at_full_size), (0, shown["filled"][0], levels.filled)):
            expected = levels.defocus(level, (plane / 65535).astype(np.float32))
            assert np.allclose(seen.numpy()[0], expected, atol=1e-6)


def test_whole_scenes_hold_every_level_and_end_where_they_should(tmp_path: Path) -> None:
    scenes = WholeScenes(SceneStore(tmp_path, 0, SETTINGS, Sources()), 2)
    assert len([scenes[i] for i in range(len(scenes))]) == 2
    assert [image.shape[-1] for image in scenes[0]["images"]] == [32, 64]
    with pytest.raises(IndexError):
        scenes[2]

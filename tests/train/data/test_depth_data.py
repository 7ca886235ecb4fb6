"""What the depth loaders promise: 1 is nearest, places are held out whole, samples repeat, errors help."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.aspects import nearest_shape
from dofkit.train.data.depth import (
    Folder,
    HeldOut,
    Scene,
    hold_out,
    read_photos,
    to_sample,
)
from dofkit.train.data.depth_augment import DepthMix, Share, portrait_box, random_box
from dofkit.train.data.depth_composites import Composites
from dofkit.train.data.depth_cutouts import MaskCutouts
from dofkit.train.data.depth_sources import SourceFolders, Stock, read_sources
from dofkit.train.data.rgbd import recognise
from dofkit.train.data.rgbd_scenes import read_scenes

WHOLE = (0, 0, 48, 32)


def grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8))


def photo(seed: int = 0, width: int = 48, height: int = 32) -> Image.Image:
    return grey(np.random.default_rng(seed).integers(0, 255, (height, width, 3)))


@pytest.fixture
def kinect(tmp_path):
    """Depth grows from left to right, 1 to 4 m, in the layout of 8-bit depth with a scale table."""
    root = tmp_path / "kinect"
    root.mkdir()
    (root / "rgb").mkdir()
    (root / "depth").mkdir()
    with (root / "scale.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["index", "depth_max_m"])
        for index in range(3):
            photo(index).save(root / "rgb" / f"{index:05d}.jpg")
            grey(np.tile(np.linspace(63, 255, 48), (32, 1))).save(root / "depth" / f"{index:05d}.png")
            table.writerow([index, 4.0])
    return root


@pytest.fixture
def masked(tmp_path):
    """Photos whose subject is the middle third."""
    root = tmp_path / "masked"
    root.mkdir()
    (root / "images").mkdir()
    (root / "masks").mkdir()
    for index in range(3):
        photo(index).save(root / "images" / f"{index}.jpg")
        mask = np.zeros((32, 48))
        mask[8:, 16:32] = 255
        grey(mask).save(root / "masks" / f"{index}.png")
    return root


def test_depth_becomes_disparity_with_one_nearest(kinect):
    training, _ = read_scenes(recognise(kinect), 256)
    sample = to_sample(training.scenes[0], WHOLE, (32, 32))
    assert sample.disparity[0, :, 0].mean() == pytest.approx(1, abs=1e-3)
    assert sample.disparity[0, :, -1].mean() == pytest.approx(0.25, abs=0.01)  # four times as far
    assert sample.known.all()
    assert not sample.has_subject


@pytest.mark.parametrize(("kind", "full"), [(np.uint8, 255), (np.uint16, 65535)])
def test_plain_disparity_files_are_stretched_to_the_pictures_own_range(tmp_path, kind, full):
    (tmp_path / "images").mkdir()
    (tmp_path / "disparity").mkdir()
    photo().save(tmp_path / "images" / "a.png")
    values = np.full((32, 48), full, kind)
    values[:, :24], values[:, :8] = full // 2, 1
    Image.fromarray(values).save(tmp_path / "disparity" / "a.png")
    sample = to_sample(read_scenes(recognise(tmp_path), 256)[0].scenes[0], WHOLE, (32, 32))
    assert sample.disparity[0, 0, -1] == pytest.approx(1, abs=1e-5)
    assert sample.disparity[0, 0, 10] == pytest.approx(0.5, abs=0.01)
    assert sample.disparity[0, 0, 0] == pytest.approx(0, abs=1e-5)


def test_masks_are_read_as_coverage_and_say_nothing_about_depth(masked):
    sample = to_sample(read_scenes(recognise(masked), 256)[0].scenes[0], WHOLE, (48, 48))
    assert sample.has_subject == 1
    assert sample.subject[0, 30, 24] == 1
    assert sample.subject[0, 2, 24] == 0
    assert not sample.known.any()


def test_pictures_are_kept_no_larger_than_asked(masked):
    assert max(read_scenes(recognise(masked), 24)[0].scenes[0].image.size) == 24


def test_held_out_places_are_disjoint_blocks_with_a_guard_around():
    names = [f"{i:05d}" for i in range(400)]
    training, held = hold_out(names, block=25, every=8, guard=3)
    assert not set(training) & set(held)
    assert held == names[25:50] + names[225:250]
    assert set(names) - set(training) - set(held) == set(names[22:25] + names[50:53] + names[222:225] + names[250:253])


def test_a_handful_of_pictures_is_all_for_training():
    assert hold_out(["b", "a"]) == (["a", "b"], [])


def noisy() -> Folder:
    return Folder([Scene(photo(1))])


def test_samples_depend_on_seed_and_index_alone():
    first, again, other = (DepthMix([Share(noisy(), 1)], [(64, 64)], 4, seed) for seed in (3, 3, 4))
    first[7]
    assert torch.equal(first[11].image, again[11].image)
    assert not torch.equal(first[11].image, other[11].image)
    assert not torch.equal(first[11].image, first[12].image)


def test_a_batch_has_one_shape_and_all_shapes_come():
    mix = DepthMix([Share(noisy(), 1)], [(64, 64), (64, 96), (96, 64)], 4)
    seen = [tuple(mix[index].image.shape) for index in range(80)]
    assert all(len(set(seen[start : start + 4])) == 1 for start in range(0, 80, 4))
    assert set(seen) == {(3, 64, 64), (3, 96, 64), (3, 64, 96)}


def test_held_out_pictures_keep_their_aspect_as_far_as_there_is_a_shape_for_it():
    held = HeldOut([Scene(photo(0, 48, 32)), Scene(photo(0, 30, 48))], [(64, 64), (64, 96), (96, 64)])
    assert [tuple(held[index].image.shape) for index in range(2)] == [(3, 64, 96), (3, 96, 64)]
    assert nearest_shape((1000, 1010), [(64, 64), (64, 96)]) == (64, 64)


def test_samples_are_in_range_whatever_their_source(kinect, masked):
    depth, subjects = read_scenes(recognise(kinect), 256)[0], read_scenes(recognise(masked), 256)[0]
    sources = [depth, subjects, Composites(MaskCutouts([subjects]), depth)]
    mix = DepthMix([Share(source, 1) for source in sources], [(96, 64)], 4)
    for index in range(24):
        for part in mix[index]:
            assert torch.isfinite(part).all()
            assert part.min() >= 0
            assert part.max() <= 1


def test_crops_lie_within_the_picture():
    mask = np.zeros((300, 200))
    mask[40:280, 20:90] = 255
    for seed in range(50):
        rng = np.random.default_rng(seed)
        for box in (random_box((200, 300), 1.3, rng), portrait_box(grey(mask), rng)):
            assert box is not None
            left, top, right, bottom = box
            assert 0 <= left < right <= 200 + 1e-6
            assert 0 <= top < bottom <= 300 + 1e-6


def test_a_crop_has_the_aspect_asked_for_up_to_a_fifth():
    for seed in range(50):
        left, top, right, bottom = random_box((200, 300), 1.3, np.random.default_rng(seed))
        assert 1.3 / 1.21 < (right - left) / (bottom - top) < 1.3 * 1.21


def test_a_portrait_crop_shows_the_subjects_top():
    mask = np.zeros((300, 200))
    mask[40:280, 80:120] = 255
    for seed in range(20):
        box = portrait_box(grey(mask), np.random.default_rng(seed))
        assert box is not None
        assert box[1] <= 40 < box[3]
    assert portrait_box(grey(0 * mask), np.random.default_rng(0)) is None


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (lambda root: SourceFolders(rgbd=(root / "absent",)), "no such folder"),
        (lambda root: SourceFolders(rgbd=(root,)), "masks and no depth; give it as --masks"),
        (lambda root: SourceFolders(standing=(root / "images",)), "is recognised"),
        (lambda root: SourceFolders(photos=(root / "absent",)), "is not a folder"),
    ],
)
def test_a_folder_that_cannot_be_used_is_explained_in_one_line(masked, folders, message):
    with pytest.raises(DofkitError, match=message) as caught:
        read_sources(folders(masked), 32)
    assert "\n" not in str(caught.value)


def test_sets_of_one_folder_are_each_taken_for_what_they_are(kinect, masked):
    both = kinect.parent
    for folders, known in ((SourceFolders(rgbd=(both,)), True), (SourceFolders(masks=(both,)), False)):
        found = [
            s.source for s in read_sources(folders, 32, stock=Stock(2, 2, 2, 2)).shares if isinstance(s.source, Folder)
        ]
        assert [(len(f.scenes), f.scenes[0].disparity is not None) for f in found] == [(3, known)]


def test_an_image_that_is_no_image_is_named(masked):
    (masked / "images" / "1.jpg").write_bytes(b"not a photo")
    with pytest.raises(DofkitError, match=r"1\.jpg: is not a photo"):
        read_scenes(recognise(masked), 256)


def test_a_folder_draws_from_all_its_scenes():
    scenes = [Scene(photo(i)) for i in range(3)]
    rng = np.random.default_rng(0)
    assert {id(Folder(scenes).scene(rng)) for _ in range(40)} == {id(scene) for scene in scenes}


@pytest.fixture
def indexed(tmp_path):
    """Two pairs in the layout with a table: disparity in 8 bits, and depth in 16."""
    for name in ("images", "depth"):
        (tmp_path / name).mkdir()
    ramp = np.tile(np.linspace(50, 250, 48), (32, 1))
    lines = ["name,image,depth,kind,scale,offset"]
    for name, kind, values, scale, offset in (
        ("a", "disparity8", ramp.astype(np.uint8), 0.01, 0.5),
        ("b", "depth16", (ramp * 10).astype(np.uint16), 0.001, 0),
    ):
        photo().save(tmp_path / "images" / f"{name}.jpg")
        Image.fromarray(values).save(tmp_path / "depth" / f"{name}.png")
        lines.append(f"{name},images/{name}.jpg,depth/{name}.png,{kind},{scale},{offset}")
    (tmp_path / "index.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_a_table_says_what_its_maps_mean(indexed):
    training, held = read_scenes(recognise(indexed), 256)
    near, far = (to_sample(part.scenes[0], WHOLE, (48, 32)).disparity[0, 0] for part in (training, held))
    # 0.5 + 0.01 v, v from 50 to 250, up to scale and shift
    assert near[0] == pytest.approx(0, abs=0.01)
    assert near[24] == pytest.approx(0.5, abs=0.02)
    assert near[-1] == pytest.approx(1, abs=0.01)
    # 0.5 to 2.5 m
    assert far[0] == pytest.approx(1, abs=0.01)
    assert far[-1] == pytest.approx(0.2, abs=0.01)


def test_photos_are_found_below_a_folder(masked):
    assert len(read_photos(masked, 32).scenes) == 6
    with pytest.raises(DofkitError, match="is not a folder"):
        read_photos(masked / "absent", 32)
    (masked / "empty").mkdir()
    with pytest.raises(DofkitError, match="holds no photos"):
        read_photos(masked / "empty", 32)

"""A set of generated photos on disk: what the generator made is read back, whatever interrupted the writing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.mapping import Processes
from dofkit.runtime_ref.pipeline.optics import defocus
from dofkit.train.argan_config import ArganConfig
from dofkit.train.data.depth import read_generated
from dofkit.train.data.generated_set import (
    AT_ONCE,
    STEPS,
    GeneratedSet,
    GeneratedSettings,
    drawn,
    fingerprint,
    settings_of,
    write_generated,
    write_sheet,
)
from dofkit.train.data.render_samples import GeneratedScenes, TrainingWindows
from dofkit.train.data.rgbd import recognise
from dofkit.train.data.rgbd_scenes import read_scenes
from dofkit.train.networks.aperture_generator import ApertureGenerator, Photographed
from dofkit.train.weights.generative import GENERATOR

COUNT = 5


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small generator that has learned nothing, T included."""
    torch.manual_seed(5)
    network = ApertureGenerator(ArganConfig(size=32, width=4, views=3))
    assert network.lens.expansion is not None
    torch.nn.init.normal_(network.lens.expansion.residual.weight, std=0.1)
    return GENERATOR.save(network, tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def network(weights: Path) -> ApertureGenerator:
    return GENERATOR.load(weights)


@pytest.fixture(scope="module")
def settings(network: ApertureGenerator, weights: Path) -> GeneratedSettings:
    return settings_of(network, weights, seed=3, aperture=None)


@pytest.fixture
def folder(tmp_path: Path, network: ApertureGenerator, settings: GeneratedSettings) -> Path:
    """A set of a few photos."""
    write_generated(tmp_path / "set", network, settings, COUNT)
    return tmp_path / "set"


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@torch.no_grad()
def made(network: ApertureGenerator, settings: GeneratedSettings, count: int) -> tuple[Photographed, torch.Tensor]:
    """What the generator gives for the first photos in one batch, and their scales."""
    draws = [drawn(settings, network.latent, number) for number in range(count)]
    scales = torch.tensor([scale for _, scale in draws]).reshape(-1, 1, 1, 1)
    return network(torch.cat([z for z, _ in draws]), scales), scales


def test_the_sets_disparity_and_lens_give_the_generators_defocus(
    folder: Path, network: ApertureGenerator, settings: GeneratedSettings
) -> None:
    photos, scales = made(network, settings, COUNT)
    for photo, true, scale in zip(
        GeneratedSet.open(folder), photos.defocus.numpy()[:, 0], scales.flatten().tolist(), strict=True
    ):
        lens = photo.lens
        step = lens.aperture * lens.long_side / 40 / STEPS
        found = defocus(photo.disparity, lens.focus, lens.aperture, lens.long_side)
        assert lens.aperture == pytest.approx(scale)
        assert np.abs(found - scale * true).max() <= 0.51 * step + 1e-5
        assert np.ptp(found) > 100 * step


def test_the_shallow_picture_is_the_deep_one_through_the_lens(folder: Path, network: ApertureGenerator) -> None:
    for photo in GeneratedSet.open(folder):
        deep = torch.from_numpy(photo.deep.transpose(2, 0, 1))[None]
        lens = photo.lens
        blur = defocus(photo.disparity, lens.focus, lens.aperture, lens.long_side)
        with torch.no_grad():
            seen = network.lens(deep, torch.from_numpy(blur)[None, None])[0].numpy().transpose(1, 2, 0)
        # half a step of either file; what the files' rounding of the disparity adds is a thousandth of that
        assert np.abs(seen - photo.shallow).max() <= 1.1 / 255


def test_the_pictures_are_the_generators(folder: Path, network: ApertureGenerator, settings: GeneratedSettings) -> None:
    photos, _ = made(network, settings, COUNT)
    for index, photo in enumerate(GeneratedSet.open(folder)):
        for read, true in ((photo.deep, photos.deep[index]), (photo.shallow, photos.shallow[index])):
            assert np.abs(read - true.numpy().transpose(1, 2, 0)).max() <= 0.51 / 255


def test_any_reader_of_image_and_depth_folders_reads_the_set(folder: Path) -> None:
    assert not any((np.asarray(Image.open(file)) == 0).any() for file in (folder / "disparity").iterdir())
    training, _ = read_scenes(recognise(folder), 64)
    assert len(training.scenes) == COUNT
    for scene, photo in zip(training.scenes, GeneratedSet.open(folder), strict=True):
        assert np.array_equal(np.asarray(scene.image), np.round(photo.deep * 255))
        least, greatest = photo.disparity.min(), photo.disparity.max()  # a folder's disparity is up to scale and shift
        stretched = (photo.disparity - least) / (greatest - least)
        assert np.abs(np.asarray(scene.disparity) - stretched).max() <= 2.2 / STEPS / (greatest - least)


def test_a_photo_depends_on_its_seed_and_number_alone(
    folder: Path, tmp_path: Path, network: ApertureGenerator, settings: GeneratedSettings
) -> None:
    before = bytes_of(folder)
    write_generated(tmp_path / "fewer", network, settings, 2)
    fewer = bytes_of(tmp_path / "fewer")
    assert all(before[name] == data for name, data in fewer.items() if name != "samples.json")
    write_generated(tmp_path / "fewer", network, settings, COUNT)
    assert bytes_of(tmp_path / "fewer") == before
    other = settings.model_copy(update={"seed": 4})
    write_generated(tmp_path / "other", network, other, 1)
    assert bytes_of(tmp_path / "other")["images/000000.png"] != before["images/000000.png"]


def test_an_interrupted_run_goes_on_to_the_same_set(
    folder: Path, network: ApertureGenerator, settings: GeneratedSettings
) -> None:
    """Stopped after two photos were recorded, in the middle of the fourth's files."""
    whole = bytes_of(folder)
    record = json.loads((folder / "samples.json").read_text())
    record["samples"] = {number: record["samples"][number] for number in "01"}
    (folder / "samples.json").write_text(json.dumps(record))
    (folder / "shallow" / "000003.png").unlink()
    (folder / "images" / "000004.png").unlink()
    assert len(GeneratedSet.open(folder)) == 2
    calls: list[int] = []
    write_generated(folder, network, settings, COUNT, done=calls.append)
    assert calls == [2, 5]
    assert bytes_of(folder) == whole


def test_the_record_is_written_every_now_and_then(
    tmp_path: Path, network: ApertureGenerator, settings: GeneratedSettings
) -> None:
    def stop(number: int) -> None:
        if number == 2 * AT_ONCE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_generated(tmp_path / "set", network, settings, 50, done=stop)
    assert len(GeneratedSet.open(tmp_path / "set")) == 2 * AT_ONCE


@pytest.mark.e2e
def test_the_number_of_processes_changes_nothing(
    folder: Path, tmp_path: Path, network: ApertureGenerator, settings: GeneratedSettings
) -> None:
    write_generated(tmp_path / "two", network, settings, AT_ONCE + 2, Processes(2))
    write_generated(folder, network, settings, AT_ONCE + 2)
    assert bytes_of(tmp_path / "two") == bytes_of(folder)


def test_one_aperture_for_all_leaves_the_deep_pictures_as_they_are(
    folder: Path, tmp_path: Path, network: ApertureGenerator, weights: Path
) -> None:
    closed = write_generated(tmp_path / "closed", network, settings_of(network, weights, 3, aperture=0.0), COUNT)
    drawn_apertures = {photo.lens.aperture for photo in GeneratedSet.open(folder)}
    assert len(drawn_apertures) == COUNT
    for photo, other in zip(closed, GeneratedSet.open(folder), strict=True):
        assert photo.lens.aperture == 0
        assert np.array_equal(photo.deep, other.deep)
        assert np.abs(photo.shallow - photo.deep).max() <= 1.1 / 255


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 4}, "seed 3, not 4"),
        ({"aperture": 0.5}, r"aperture uniform, not 0\.5"),
        ({"generator": "ab"}, "not ab; give the same options or another --out"),
    ],
)
def test_a_set_of_other_settings_is_refused(
    folder: Path, network: ApertureGenerator, settings: GeneratedSettings, change: dict, words: str
) -> None:
    with pytest.raises(DofkitError, match=words) as raised:
        write_generated(folder, network, settings.model_copy(update=change), COUNT)
    assert "\n" not in str(raised.value)


def test_a_foreign_record_or_a_broken_picture_is_named(folder: Path, tmp_path: Path) -> None:
    photos, path = GeneratedSet.open(folder), folder / "shallow" / "000001.png"
    path.write_bytes(path.read_bytes()[:99])
    with pytest.raises(DofkitError, match=r"000001\.png cannot be read as a PNG.*remove samples\.json"):
        photos[1]
    (folder / "samples.json").write_text("{}")
    with pytest.raises(DofkitError, match=r"settings: Field required; it is no record of generated photos"):
        GeneratedSet.open(folder)
    with pytest.raises(DofkitError, match=r"samples\.json: no such file"):
        GeneratedSet.open(tmp_path)


def test_the_fingerprint_is_that_of_the_file_wherever_it_lies(weights: Path) -> None:
    assert fingerprint(weights) == fingerprint(weights.parent)
    assert len(fingerprint(weights)) == 16


def test_the_contact_sheet_shows_two_photos_a_row(folder: Path, tmp_path: Path) -> None:
    write_sheet(GeneratedSet.open(folder), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (2 * 3 * 128, 3 * 128)


def test_both_pictures_of_a_photo_are_read_into_the_same_part(
    tmp_path: Path, network: ApertureGenerator, settings: GeneratedSettings
) -> None:
    photos = write_generated(tmp_path, network, settings, 40)
    for part in read_generated(tmp_path, 64):
        assert part.scenes
        for deep, shallow in zip(part.scenes[::2], part.scenes[1::2], strict=True):
            assert np.array_equal(np.asarray(deep.disparity), np.asarray(shallow.disparity))
            (photo,) = (p for p in photos if np.array_equal(p.disparity, np.asarray(deep.disparity)))
            assert np.array_equal(np.asarray(deep.image), np.round(photo.deep * 255))
            assert np.array_equal(np.asarray(shallow.image), np.round(photo.shallow * 255))
    training, held = read_generated(tmp_path, 64)
    assert (len(training.scenes), len(held.scenes)) == (2 * 22, 2 * 15)  # three of each 25 guard the others


def test_photos_of_all_sets_are_scenes_at_every_level(
    folder: Path, tmp_path: Path, network: ApertureGenerator, weights: Path
) -> None:
    write_generated(tmp_path / "more", network, settings_of(network, weights, 9, aperture=1.0), 2)
    scenes = GeneratedScenes.open([folder, tmp_path / "more"], levels=1, seed=0)
    photos = [*GeneratedSet.open(folder), *GeneratedSet.open(tmp_path / "more")]
    assert scenes.count == len(photos) == COUNT + 2
    for number, photo in enumerate(photos):
        scene = scenes[number].seen()
        assert [len(image) for image in scene.images] == [16, 32]
        assert np.array_equal(scene.images[-1], np.round(photo.deep * 255))
        assert np.array_equal(scene.truths[-1], np.round(photo.shallow * 255))
        given = scene.defocus(1, (scene.disparity[1] / 65535).astype(np.float32))
        lens = photo.lens
        assert np.allclose(given * 8, defocus(photo.disparity, 0.5, lens.aperture, lens.long_side), atol=1e-3)
        assert np.array_equal(scenes[number + scenes.count].corrupted, scenes[number].corrupted)


def test_training_draws_from_all_photos_from_the_start(folder: Path) -> None:
    scenes = GeneratedScenes.open([folder], levels=1, seed=0)
    windows = TrainingWindows(scenes, seed=0, halo=2, reuse=24)
    brightest = {round(float(windows[index]["image"].max()) * 255) for index in range(60)}
    assert brightest == {int(scenes[number].images[0].max()) for number in range(COUNT)}
    assert len(brightest) > 2


def test_sets_of_other_sizes_are_refused(folder: Path, tmp_path: Path) -> None:
    large = ApertureGenerator(ArganConfig(size=64, width=4, views=3)).eval()
    made_of = settings_of(large, GENERATOR.save(large, tmp_path / "large"), 0, None)
    write_generated(tmp_path / "set64", large, made_of, 1)
    with pytest.raises(DofkitError, match=r"holds photos of 64 pixels, .* of 32; give one size"):
        GeneratedScenes.open([folder, tmp_path / "set64"], levels=1, seed=0)

"""A set of scenes on disk: what is written is read back, interrupted runs go on, foreign folders are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.mapping import Processes
from dofkit.train.data.scene_set import SceneRecord, SceneSet, SetSettings, fingerprint, write_scenes, write_sheet
from dofkit.train.data.scenes import SceneSettings, random_scene
from dofkit.train.data.sources import Sources

SETTINGS = SetSettings(size=48, levels=1, seed=3, truth="layered")
NO_FILES = Sources()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of two scenes."""
    write_scenes(tmp_path / "set", SETTINGS, NO_FILES, 2)
    return tmp_path / "set"


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_set_holds_the_scenes_that_its_seed_draws(folder: Path) -> None:
    scenes = SceneSet.open(folder)
    assert len(scenes) == 2
    for number, scene in enumerate(scenes):
        drawn = random_scene((3, number), SceneSettings(size=48, levels=1, whole=True), NO_FILES)
        assert scene.lens == drawn.lens
        for name, bits in SceneRecord.PLANES.items():
            read, made = getattr(scene, name), getattr(drawn, name)
            assert read.dtype == np.float32
            assert read.shape == made.shape
            assert np.abs(read - made).max() <= 0.5 / (2**bits - 1) + 1e-7  # half a step, and float32


def test_any_viewer_opens_the_files(folder: Path) -> None:
    with Image.open(folder / "blurred" / "000001.png") as picture, Image.open(folder / "disparity/000001.png") as depth:
        assert (picture.mode, picture.size) == ("RGB", (48, 48))
        assert (depth.mode, depth.size) == ("I;16", (48, 48))


@pytest.mark.parametrize("index", [-1, 2])
def test_a_set_ends_where_it_should(folder: Path, index: int) -> None:
    with pytest.raises(IndexError):
        SceneSet.open(folder)[index]


def test_finished_scenes_are_left_alone_and_more_are_added(folder: Path) -> None:
    before, calls = bytes_of(folder), []
    write_scenes(folder, SETTINGS, NO_FILES, 2, done=calls.append)
    assert bytes_of(folder) == before
    assert calls == [2]
    write_scenes(folder, SETTINGS, NO_FILES, 3, done=calls.append)
    assert calls == [2, 2, 3]
    after = bytes_of(folder)
    assert all(after[name] == data for name, data in before.items() if name != "scenes.json")
    assert len(SceneSet.open(folder)) == 3


def test_an_interrupted_run_goes_on_to_the_same_set(folder: Path, tmp_path: Path) -> None:
    """Stopped after the first scene, in the middle of the second's files."""
    whole = bytes_of(folder)
    record = json.loads((folder / "scenes.json").read_text())
    del record["scenes"]["1"]
    (folder / "scenes.json").write_text(json.dumps(record))
    (folder / "corrupted" / "000001.png").unlink()
    assert len(SceneSet.open(folder)) == 1
    write_scenes(folder, SETTINGS, NO_FILES, 2)
    assert bytes_of(folder) == whole


@pytest.mark.e2e
def test_the_number_of_workers_changes_nothing(folder: Path, tmp_path: Path) -> None:
    write_scenes(tmp_path / "two", SETTINGS, NO_FILES, 2, Processes(2))
    assert bytes_of(tmp_path / "two") == bytes_of(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"seed": 4}, "seed 3, not 4"), ({"size": 64}, "size 48, not 64"), ({"sources": "ab"}, "sources none, not ab")],
)
def test_a_set_of_other_settings_is_refused(folder: Path, change: dict, words: str) -> None:
    with pytest.raises(DofkitError, match=words):
        write_scenes(folder, SETTINGS.model_copy(update=change), NO_FILES, 2)


def test_a_set_begun_by_older_rules_is_read_but_not_gone_on_with(folder: Path) -> None:
    record = json.loads((folder / "scenes.json").read_text())
    del record["settings"]["rules"]
    (folder / "scenes.json").write_text(json.dumps(record))
    assert len(SceneSet.open(folder)) == 2
    with pytest.raises(DofkitError, match="rules 1, not 2"):
        write_scenes(folder, SETTINGS, NO_FILES, 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "settings: Field required"),
        ("not json", "Invalid JSON"),
        ('{"format": 2, "settings": {"size": 48, "levels": 1, "seed": 0}}', "format"),
        ('{"settings": {"size": 48, "levels": 1, "seed": 0}, "scenes": {"../x": {}}}', "scenes"),
        ('{"settings": {"size": 48, "levels": 1, "seed": 0}, "scenes": {"0": {"focus": 7}}}', "focus"),
        ('{"settings": {"size": 48, "levels": 1, "seed": 0}}', "no scene of the set is finished"),
    ],
)
def test_a_record_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "scenes.json").write_text(text)
    with pytest.raises(DofkitError, match=words) as raised:
        SceneSet.open(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match=r"scenes\.json: no such file"):
        SceneSet.open(tmp_path)


def test_a_missing_broken_or_foreign_picture_is_named(folder: Path) -> None:
    scenes, path = SceneSet.open(folder), folder / "disparity" / "000001.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DofkitError, match=r"000001\.png cannot be read as a PNG"):
        scenes[1]
    Image.new("L", (48, 48)).save(path)
    with pytest.raises(DofkitError, match=r"not the 48x48 PNG of 16 bits"):
        scenes[1]
    path.unlink()
    with pytest.raises(DofkitError, match=r"000001\.png: no such file"):
        scenes[1]


def test_rays_through_the_aperture_see_what_layers_blurred_one_by_one_show(tmp_path: Path) -> None:
    """The two ways to the truth agree on most pixels; they differ where defocused edges lie on one another."""
    settings = SETTINGS.model_copy(update={"truth": "aperture", "samples": 64})
    by_rays = write_scenes(tmp_path / "rays", settings, NO_FILES, 3)
    by_layers = write_scenes(tmp_path / "layers", SETTINGS, NO_FILES, 3)
    for ray, layer in zip(by_rays, by_layers, strict=True):
        assert np.array_equal(ray.sharp, layer.sharp)
        assert np.median(np.abs(ray.blurred - layer.blurred)) < 2.5 / 255


def test_the_contact_sheet_shows_two_scenes_a_row(folder: Path, tmp_path: Path) -> None:
    write_sheet(SceneSet.open(folder), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (2 * 3 * 320, 320)
    write_sheet(write_scenes(folder, SETTINGS, NO_FILES, 3), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (2 * 3 * 320, 2 * 320)


def test_the_fingerprint_of_sources_knows_names_and_sizes_but_not_places(tmp_path: Path) -> None:
    def photos(place: str, size: int) -> Sources:
        path = tmp_path / place / "photos" / "a.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * size)
        return Sources((path,))

    assert fingerprint(NO_FILES) == ""
    assert fingerprint(photos("here", 5)) == fingerprint(photos("there", 5)) != fingerprint(photos("other", 6))

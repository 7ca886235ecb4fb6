"""`dofkit render` destroys nothing, ignores nothing, and says what a file cannot hold.

The networks are stood in for: what they compute is not the claim here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dofkit.api
from dofkit.runtime_ref.imageio import Keep, read_disparity, read_photo
from dofkit.runtime_ref.imageio.deep import encode_png

from .stand_in import stand_in_pipeline


@pytest.fixture
def render(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """`dofkit render ARGUMENTS` with the stand-ins for PyTorch."""
    monkeypatch.setattr(dofkit.api, "_over_pytorch", lambda *_: stand_in_pipeline())
    return lambda *arguments: cli("render", *map(str, arguments))


@pytest.fixture
def photo_file(photo: np.ndarray, tmp_path: Path) -> Path:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def refused(result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr


def test_the_portrait_goes_beside_the_photo(
    render: Callable, photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = render(photo_file)
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "photo_portrait.png") in result.stdout
    assert (tmp_path / "photo_portrait.png").exists()
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(("name", "goal"), [("photo", "photo_portrait.jpg"), ("photo.tiff", "photo_portrait.png")])
def test_a_photo_whose_suffix_is_not_written_gets_the_nearest(
    render: Callable, photo: np.ndarray, tmp_path: Path, name: str, goal: str
) -> None:
    Image.fromarray(photo).save(tmp_path / name, "TIFF" if name.endswith("tiff") else "JPEG")
    assert render(tmp_path / name).exit_code == 0
    assert (tmp_path / goal).exists()


@pytest.mark.parametrize("way", ["itself", "soft", "hard", "dots"])
def test_the_photo_is_not_written_over_unless_that_is_said(render: Callable, photo_file: Path, way: str) -> None:
    goal = photo_file if way == "itself" else photo_file.with_name("other.png")
    if way == "soft":
        goal.symlink_to(photo_file)
    elif way == "hard":
        goal.hardlink_to(photo_file)
    elif way == "dots":
        goal = photo_file.parent / ".." / photo_file.parent.name / photo_file.name
    before = photo_file.read_bytes()
    refused(render(photo_file, "--out", goal), "--out would replace it", "--overwrite")
    assert photo_file.read_bytes() == before
    assert render(photo_file, "--out", goal, "--overwrite").exit_code == 0
    assert goal.is_symlink() == (way == "soft")


def test_goals_that_are_one_file_or_the_disparity_that_is_read_are_refused(
    render: Callable, photo_file: Path, tmp_path: Path
) -> None:
    goal, link = tmp_path / "z.png", tmp_path / "link.png"
    link.symlink_to(goal)
    for other in (goal, link, tmp_path / "Z.PNG"):
        refused(render(photo_file, "--out", goal, "--save-disparity", other), "--out and --save-disparity")
    assert not goal.exists()
    Image.new("L", (201, 150), 7).save(tmp_path / "map.png")
    refused(render(photo_file, "--disparity", tmp_path / "map.png", "--out", tmp_path / "map.png"), "read by")
    saving = render(photo_file, "--disparity", tmp_path / "map.png", "--save-disparity", tmp_path / "map.png")
    refused(saving, "--save-disparity would replace it")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target", "tflite"], ["--target", "--bundle"]),
        (["--precision", "fp16"], ["--precision", "--bundle"]),
        (["--weights", "w", "--target", "onnx"], ["--target", "--bundle"]),
        (["--predict", "--disparity", "d.png"], ["--predict", "--disparity"]),
        (["--disparity-kind", "inverted"], ["--disparity-kind", "--disparity"]),
        (["--stretch-disparity"], ["--stretch-disparity", "--disparity"]),
        (["--bundle", "b", "--weights", "w"], ["--bundle", "--weights"]),
        (["--focus", "0.1,0.1", "--focus-disparity", "0.5"], ["--focus", "--focus-disparity"]),
        (["--focus", "auto", "--focus-disparity", "0.5"], ["--focus", "--focus-disparity"]),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(
    render: Callable, photo_file: Path, options: list[str], words: list[str]
) -> None:
    refused(render(photo_file, *options), *words)
    assert not photo_file.with_name("photo_portrait.png").exists()


@pytest.mark.parametrize("option", ["--aperture", "--focus-disparity", "--focus-range"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "NaN"])
def test_what_is_no_number_is_refused(render: Callable, photo_file: Path, option: str, value: str) -> None:
    assert render(photo_file, option, value).exit_code == 2
    assert render(photo_file, "--focus", f"0.5,{value}").exit_code == 2
    assert not photo_file.with_name("photo_portrait.png").exists()


def test_16_bits_and_transparency_go_through_to_a_png(render: Callable, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (90, 120, 4)).astype(np.uint16)
    (tmp_path / "deep.png").write_bytes(encode_png(pixels))
    result = render(tmp_path / "deep.png", "--aperture", "0")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    again = read_photo(tmp_path / "deep_portrait.png", Keep(alpha=True, sixteen_bits=True))
    np.testing.assert_array_equal(again.pixels, pixels[..., :3])
    np.testing.assert_array_equal(again.alpha, pixels[..., 3])


def test_what_the_format_cannot_hold_is_said_once_on_stderr_and_in_json(render: Callable, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (90, 120, 4)).astype(np.uint16)
    (tmp_path / "deep.png").write_bytes(encode_png(pixels))
    result = render(tmp_path / "deep.png", "--out", tmp_path / "out.jpg", "--json")
    assert result.exit_code == 0, result.output
    notes = json.loads(result.stdout)["notes"]
    assert len(notes) == 2
    assert "16 bits" in notes[0]
    assert "transparent" in notes[1]
    assert result.stderr == "".join(f"dofkit: note: {note}\n" for note in notes)


@pytest.mark.parametrize(("value", "word"), [(0, "all 0"), (128, "flat")])
def test_a_flat_disparity_is_told(render: Callable, photo_file: Path, value: int, word: str) -> None:
    Image.new("L", (201, 150), value).save(photo_file.with_name("map.png"))
    result = render(photo_file, "--disparity", photo_file.with_name("map.png"))
    assert result.exit_code == 0
    assert word in result.stderr


def test_a_saved_disparity_has_the_photos_aspect_and_is_taken_back(render: Callable, photo_file: Path) -> None:
    saved = photo_file.with_name("map.png")
    assert render(photo_file, "--save-disparity", saved).exit_code == 0
    height, width = read_disparity(saved).shape
    assert width / height == pytest.approx(201 / 150, rel=0.01)
    result = render(photo_file, "--disparity", saved)
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_damaged_photo_leaves_nothing_behind(render: Callable, photo_file: Path) -> None:
    data = bytearray(photo_file.read_bytes())
    data[len(data) // 2] ^= 0x55
    photo_file.write_bytes(data)
    refused(render(photo_file), "is damaged or cut short")
    assert [path.name for path in photo_file.parent.iterdir()] == ["photo.png"]


def test_a_focus_of_auto_is_what_is_done_without_one(render: Callable, photo_file: Path) -> None:
    facts = []
    for options in ([], ["--focus", "auto"], ["--focus", "0.1,0.5"]):
        result = render(photo_file, *options, "--json", "--out", photo_file.with_name("x.png"))
        assert result.exit_code == 0, result.output
        facts.append(json.loads(result.stdout)["focus"])
    assert facts[0] == facts[1] != facts[2]

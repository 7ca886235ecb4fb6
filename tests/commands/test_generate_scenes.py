"""`dofkit generate scenes`: a set and its contact sheet, or one line and exit code 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from dofkit.train.data.scene_set import SceneSet

from .refusals import assert_one_line

SMALL = ["--size", "48", "--truth", "layered"]


@pytest.fixture
def generate(cli: Callable, tmp_path: Path) -> Callable:
    """Generate a small set into tmp_path/set; returns the result."""
    return lambda *options: cli("generate", "scenes", "--out", str(tmp_path / "set"), *SMALL, *options)


def test_the_command_writes_a_set_and_a_sheet_to_look_at(generate: Callable, tmp_path: Path) -> None:
    result = generate("--count", "2")
    assert result.exit_code == 0, result.output
    assert "2 scenes" in result.stdout
    assert "sheet.png" in result.stdout
    assert len(SceneSet.open(tmp_path / "set")) == 2
    with Image.open(tmp_path / "set" / "sheet.png") as sheet:
        assert sheet.width > sheet.height


def test_a_second_run_adds_to_the_set_and_tells_machines_so(generate: Callable, tmp_path: Path) -> None:
    generate("--count", "1")
    first = (tmp_path / "set" / "blurred" / "000000.png").stat().st_mtime_ns
    result = json.loads(generate("--count", "2", "--json").stdout)
    assert result["scenes"] == 2
    assert result["settings"]["size"] == 48
    assert (tmp_path / "set" / "blurred" / "000000.png").stat().st_mtime_ns == first


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seed", "1"], "seed 0, not 1; give the same options or another --out"),
        (["--photos", "nowhere"], "no photos in nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(generate: Callable, options: list[str], words: str) -> None:
    generate("--count", "1")
    assert_one_line(generate("--count", "1", *options), words)


def test_pictures_of_folders_get_into_the_scenes(generate: Callable, tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / "people" / part).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (30, 40), (200, 30 * (number % 8), 40)).save(tmp_path / f"people/{part}/{number}.png")
    result = generate("--count", "1", "--masks", str(tmp_path / "people"), "--json")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["settings"]["sources"]) == 16


def test_help_teaches_a_first_try(cli: Callable) -> None:
    text = cli("generate", "scenes", "--help").stdout
    assert "dofkit generate scenes --out try --count 8 --size 320 --truth layered" in text
    assert "generate" in cli("--help").stdout

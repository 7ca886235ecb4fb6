"""`dofkit data`: what it says of sound, spoilt and unreadable data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    """Three pairs, of which one map is of one value."""
    folder = tmp_path / "rooms"
    for part in ("images", "disparity"):
        (folder / part).mkdir(parents=True)
    for number in range(3):
        picture = np.random.default_rng(number).integers(0, 255, (30, 40, 3)).astype(np.uint8)
        rising = np.repeat(np.linspace(10, 240, 30).astype(np.uint8)[:, None], 40, axis=1)
        Image.fromarray(picture).save(folder / "images" / f"{number}.png")
        Image.fromarray(rising if number else rising * 0 + 7).save(folder / "disparity" / f"{number}.png")
    return folder


def test_a_set_is_named_and_its_suspicious_pairs_listed(cli: Callable, rooms: Path, tmp_path: Path) -> None:
    result = cli("data", "inspect", str(rooms), "--sheet", str(tmp_path / "sheet.png"))
    assert result.exit_code == 0, result.output
    assert "white is nearest" in result.stdout
    assert "rooms 0: all one value" in result.stdout
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 500


def test_json_says_the_same_for_machines(cli: Callable, rooms: Path) -> None:
    (one,) = json.loads(cli("data", "inspect", str(rooms), "--json").stdout)["sets"]
    assert (one["format"], one["pairs"], one["known"]) == ("disparity", 3, 1.0)
    assert [pair["suspicions"] for pair in one["each"]] == [["all one value"], [], []]


def test_an_unreadable_pair_is_listed_and_is_exit_code_one(cli: Callable, rooms: Path) -> None:
    (rooms / "disparity" / "1.png").write_bytes(b"nothing")
    result = cli("data", "inspect", str(rooms))
    assert result.exit_code == 1
    assert "1.png cannot be read" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere: no such folder or file"),
        (["{rooms}/images"], "no image + depth or image + mask set is recognised"),
        (["{rooms}", "--sheet", "sheet.jpg"], "contact sheets are PNG"),
        (["{rooms}", "--sheet", "nowhere/sheet.png"], "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_is_one_line(cli: Callable, rooms: Path, arguments: list[str], words: str) -> None:
    result = cli("data", "inspect", *(argument.format(rooms=rooms) for argument in arguments))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert words in result.stderr


def test_formats_are_listed_for_people_and_machines(cli: Callable) -> None:
    assert "Middlebury 2014" in cli("data", "formats").stdout
    listed = json.loads(cli("data", "formats", "--json").stdout)
    assert {"kitti", "tum", "phone", "table"} <= {form["name"] for form in listed}

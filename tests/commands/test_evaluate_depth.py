"""`dofkit evaluate depth`: a whole evaluation at once, resumed, and refused in one line where it cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ..train.brought.onnx_files import written


@pytest.fixture
def evaluate(cli: Callable, weights: Path, tmp_path: Path) -> Callable:
    """The command with random weights and its results in tmp_path / out."""

    def run(*arguments: str):
        return cli("evaluate", "depth", *arguments, "--weights", str(weights), "--out", str(tmp_path / "out"))

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A set of disparity and one of masks, in one folder."""
    for number, (name, maps) in enumerate((("rooms", "disparity"), ("people", "masks"))):
        for part in ("images", maps):
            (tmp_path / "data" / name / part).mkdir(parents=True)
        picture = np.random.default_rng(number).integers(0, 255, (30, 40, 3)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "data" / name / "images" / "a.png")
        plain = np.zeros((30, 40), np.uint8)
        plain[5:20, 10:30] = 255
        Image.fromarray(plain).save(tmp_path / "data" / name / maps / "a.png")
    return tmp_path / "data"


def test_scores_and_a_page_are_written_for_every_set_and_method(
    evaluate: Callable, data: Path, weights: Path, tmp_path: Path
) -> None:
    result = evaluate(str(data), "--method", f"other={weights}")
    assert result.exit_code == 0, result.output
    for word in ("rooms: 1 pictures", "people: 1 pictures", "lower is nearer", "other", "ours"):
        assert word in result.stdout
    found = json.loads((tmp_path / "out" / "scores.json").read_text())
    by_name = {dataset["name"]: dataset["mean"] for dataset in found["sets"]}
    assert set(by_name) == {"rooms", "people"}
    assert by_name["rooms"]["ours"]["mae"] == pytest.approx(by_name["rooms"]["other"]["mae"])
    assert by_name["people"]["ours"]["mae"] is None
    assert by_name["people"]["ours"]["in_focus"] is not None
    assert 'alt="ours"' in (tmp_path / "out" / "report.html").read_text()


def test_a_network_of_yours_stands_in_the_same_table(evaluate: Callable, data: Path, tmp_path: Path) -> None:
    model = written(tmp_path / "theirs.onnx")
    asked = ("--depth-model", str(model), "--depth-kind", "metric", "--only", "brought", "--only", "ours")
    done = evaluate(str(data / "rooms"), *asked)
    assert done.exit_code == 0, done.output
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert {method["name"]: method["source"] for method in scores["methods"]}["brought"] == "theirs.onnx, ONNX, metric"
    assert "brought" in done.stdout
    assert "ours" in done.stdout


def test_without_data_pictures_are_drawn(evaluate: Callable) -> None:
    result = evaluate("--count", "1", "--only", "constant", "--json")
    assert result.exit_code == 0, result.output
    (dataset,) = json.loads(result.stdout)["sets"]
    assert (dataset["name"], dataset["pictures"]) == ("drawn", 1)
    assert dataset["mean"]["constant"]["ordinal"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["--method", "x"], "give NAME=FILE"),
        (["--method", "a=x", "--method", "a=y"], "given twice"),
        (["--method", "a=nowhere"], "there is no depth.safetensors"),
        (["--only", "nobody"], "there is no such method"),
    ],
)
def test_what_cannot_be_is_one_line(evaluate: Callable, tmp_path: Path, arguments: list[str], words: str) -> None:
    result = evaluate(*arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert words in result.stderr
    assert not (tmp_path / "out").exists()


def test_two_sets_of_one_name_are_told_apart(evaluate: Callable, data: Path) -> None:
    twice = evaluate(str(data / "rooms"), str(data / "rooms"))
    assert twice.exit_code == 2
    assert "a set is called rooms already; give this one a name" in twice.stderr
    named = evaluate(str(data / "rooms"), f"again={data / 'rooms'}", "--only", "constant", "--json")
    assert [dataset["name"] for dataset in json.loads(named.stdout)["sets"]] == ["rooms", "again"]


def test_an_unreadable_picture_is_one_line(evaluate: Callable, data: Path) -> None:
    (data / "rooms" / "disparity" / "a.png").write_bytes(b"\x89PNG nothing")
    result = evaluate(str(data / "rooms"))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "a.png" in result.stderr

"""`dofkit evaluate render`: a whole evaluation at once, resumed, and refused in one line where it cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.commands import evaluate_render
from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.data.scene_set import SetSettings, write_scenes
from dofkit.train.data.sources import Sources
from dofkit.train.evaluation.render import JudgedScene


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tiny scene."""
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, SetSettings(size=32, levels=1, seed=5, truth="layered"), Sources(), count=1)
    return folder


@pytest.fixture
def evaluate(cli: Callable, weights: Path, tmp_path: Path) -> Callable:
    """The command with random weights and its results in tmp_path / out."""

    def run(*options: str):
        return cli("evaluate", "render", "--weights", str(weights), "--out", str(tmp_path / "out"), *options)

    return run


@pytest.mark.e2e
def test_scores_and_a_page_are_written_and_a_second_run_computes_nothing(
    evaluate: Callable, scenes: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)).save(photos / "a.png")
    options = ["--scenes", str(scenes), "--photos", str(photos), "--ablation", f"channels=16={weights}"]
    first = evaluate(*options)
    assert first.exit_code == 0, first.output
    for heading in ("classical renderers", "ablations", "all in focus", "channels=16"):
        assert heading in first.stdout
    found = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert len(found["scenes"]) == 1
    assert found["weights"]["ours"] == found["weights"]["channels=16"]
    scores = {method["name"]: method["mean"]["true"]["psnr"] for method in found["methods"]}
    assert scores["ours"] == pytest.approx(scores["channels=16"])
    assert "a.png" in (tmp_path / "out" / "report.html").read_text()

    monkeypatch.setattr(JudgedScene, "score", lambda *_: pytest.fail("it was computed before"))
    again = evaluate(*options, "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["methods"] == found["methods"]


def test_without_a_set_scenes_are_made_once(
    evaluate: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_render, "SIZE", 32)
    monkeypatch.setattr(evaluate_render, "LEVELS", 1)
    for _ in range(2):
        result = evaluate("--count", "1", "--only", "ours", "--only", "all in focus", "--json")
        assert result.exit_code == 0, result.output
        assert [method["name"] for method in json.loads(result.stdout)["methods"]] == ["ours", "all in focus"]
    assert [file.name for file in (tmp_path / "out" / "scenes" / "sharp").iterdir()] == ["000000.png"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ablation", "runs/c8"], "give NAME=DIR"),
        (["--ablation", "c8=missing"], "give NAME=DIR"),
        (["--direct", "missing"], "no direct regression network at missing"),
        (["--photos", "missing"], "no photos in missing"),
        (["--only", "nobody"], "there is no such method; there are: ours"),
        (["--scenes", "missing"], "missing"),
        (["--out", "/dev/null/out"], "choose another --out"),
    ],
)
def test_what_cannot_be_is_one_line(evaluate: Callable, options: list[str], words: str) -> None:
    result = evaluate(*options)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert words in result.stderr


def test_two_ablations_of_one_name_are_refused(evaluate: Callable, weights: Path) -> None:
    result = evaluate("--ablation", f"a={weights}", "--ablation", f"a={weights}")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "given twice" in result.stderr


def test_an_ablations_name_may_hold_an_equals_sign(tmp_path: Path) -> None:
    (tmp_path / "c=16").mkdir()
    assert evaluate_render.named_folder(f"channels=16={tmp_path}") == ("channels=16", tmp_path)
    assert evaluate_render.named_folder(f"flat={tmp_path}/c=16") == ("flat", tmp_path / "c=16")
    with pytest.raises(DofkitError):
        evaluate_render.named_folder(f"={tmp_path}")

"""`dofkit train pix2pix`: two steps from end to end, scored beside the depth network; one line on bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

TINY = ["--size", "32", "--width", "2", "--batch", "2", "--drawn", "4", "--workers", "0", "--threads", "1"]


@pytest.fixture
def train(cli: Callable, tmp_path: Path) -> Callable:
    def run(*options: str):
        return cli("train", "pix2pix", "--out", str(tmp_path / "run"), *TINY, *options)

    return run


def test_a_run_is_trained_resumed_and_scored(train: Callable, cli: Callable, tmp_path: Path) -> None:
    first = train("--steps", "1")
    assert first.exit_code == 0, first.output
    assert "held out: 32 pairs" in first.stdout
    assert (tmp_path / "run" / "sheet.png").is_file()
    assert train("--steps", "2").exit_code == 2  # the folder is in use
    again = train("--steps", "2", "--resume", "--json")
    assert again.exit_code == 0, again.output
    report = json.loads(again.stdout)
    assert set(report["figures"]) == {"mae", "mae_flat", "judged_true"}
    scored = cli(
        "evaluate", "depth", "--method", f"pix2pix={tmp_path / 'run'}", "--only", "pix2pix", "--count", "1",
        "--out", str(tmp_path / "out"), "--json",
    )  # fmt: skip
    assert scored.exit_code == 0, scored.output
    (dataset,) = json.loads(scored.stdout)["sets"]
    assert 0 < dataset["mean"]["pix2pix"]["mae"] < 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "48"], "--size must be a power of two"),
        (["--precision", "16-mixed"], "two optimisers take turns"),
        (["--rgbd", "nowhere"], "no such folder or file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    train: Callable, tmp_path: Path, options: list[str], words: str
) -> None:
    result = train("--steps", "1", *options)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert words in result.stderr
    assert not (tmp_path / "run").exists()

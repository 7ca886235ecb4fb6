"""`dofkit train cyclegan`: two steps from end to end, on drawn photos and on folders; one line on bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.train.weights.generative import TRANSLATOR

TINY = ["--size", "32", "--width", "4", "--blocks", "1", "--batch", "2", "--drawn", "4", "--held-out", "3"]
ONE = ["--workers", "0", "--threads", "1", "--steps", "2"]


@pytest.fixture
def train(cli: Callable, tmp_path: Path) -> Callable:
    """Train in tmp_path/run; returns the result."""
    return lambda *options: cli("train", "cyclegan", "--out", str(tmp_path / "run"), *TINY, *ONE, *options)


def photos(folder: Path, count: int, value: int) -> str:
    folder.mkdir()
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 60, (40, 50, 3))
        Image.fromarray((noise + value).astype(np.uint8)).save(folder / f"{number}.png")
    return str(folder)


def test_the_command_trains_on_drawn_photos_and_judges_on_pairs(train: Callable, tmp_path: Path) -> None:
    result = train("--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["held_out"] == 3
    assert {"psnr", "psnr_unchanged", "ssim", "ssim_unchanged", "l1_back"} == set(report["figures"])
    assert TRANSLATOR.load(tmp_path / "run").config.width == 4
    with Image.open(report["sheet"]) as sheet:
        assert sheet.size == (4 * 32, 3 * 32)
    refused = train()
    assert refused.exit_code == 2
    assert "--resume" in refused.stderr
    assert train("--resume").exit_code == 0


def test_folders_are_read_and_one_deep_photo_in_ten_held_out(train: Callable, tmp_path: Path) -> None:
    result = train("--deep", photos(tmp_path / "deep", 20, 0), "--shallow", photos(tmp_path / "shallow", 3, 180))
    assert result.exit_code == 0, result.output
    assert "held out: 2 photos" in result.stdout
    assert "l1_back" in result.stdout
    assert "psnr" not in result.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--deep", "phone"], "--deep without --shallow: give folders of both"),
        (["--shallow", "camera"], "--shallow without --deep: give folders of both"),
        (["--deep", "nowhere", "--shallow", "nowhere"], "no photos in nowhere"),
        (["--size", "30"], "--size must be a multiple of 4"),
        (["--size", "12"], "from 16 on, not 12"),
        (["--precision", "16-mixed"], "32-true or bf16-mixed"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    train: Callable, tmp_path: Path, options: list[str], words: str
) -> None:
    result = train(*options)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_single_deep_photo_is_too_few(train: Callable, tmp_path: Path) -> None:
    result = train("--deep", photos(tmp_path / "deep", 1, 0), "--shallow", photos(tmp_path / "shallow", 3, 180))
    assert result.exit_code == 2
    assert "give at least two" in result.stderr


def test_help_teaches_a_first_try(cli: Callable) -> None:
    text = cli("train", "cyclegan", "--help").stdout
    assert "dofkit train cyclegan --out runs/try --size 32" in text
    assert "cyclegan" in cli("train", "--help").stdout

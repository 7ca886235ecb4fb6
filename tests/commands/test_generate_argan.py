"""`dofkit generate argan` and what trains on its sets, from end to end; one line and exit code 2 on bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.argan_config import ArganConfig
from dofkit.train.data.generated_set import GeneratedSet
from dofkit.train.evaluation.subjects import subject_nearer, subject_of
from dofkit.train.networks.aperture_generator import ApertureGenerator
from dofkit.train.weights import load_weights
from dofkit.train.weights.generative import GENERATOR, SHIPPED

from .refusals import assert_one_line

TINY = ["--steps", "2", "--batch", "2", "--workers", "0", "--threads", "1"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small generator that has learned nothing."""
    torch.manual_seed(5)
    network = ApertureGenerator(ArganConfig(size=32, width=4, views=3))
    return GENERATOR.save(network, tmp_path_factory.mktemp("weights")).parent


@pytest.fixture
def generate(cli: Callable, tmp_path: Path, weights: Path) -> Callable:
    """Generate into tmp_path/set; returns the result."""
    fixed = ["--out", str(tmp_path / "set"), "--weights", str(weights)]
    return lambda *options: cli("generate", "argan", *fixed, *options)


@pytest.fixture
def photos(generate: Callable, tmp_path: Path) -> str:
    """A set with a held-out part."""
    assert generate("--count", "40").exit_code == 0
    return str(tmp_path / "set")


def test_the_command_writes_a_set_and_a_sheet_to_look_at(generate: Callable, tmp_path: Path) -> None:
    result = generate("--count", "2")
    assert result.exit_code == 0, result.output
    assert "2 photos of 32 pixels" in result.stdout
    assert len(GeneratedSet.open(tmp_path / "set")) == 2
    with Image.open(tmp_path / "set" / "sheet.png") as sheet:
        assert sheet.width > sheet.height


def test_a_second_run_adds_to_the_set_and_tells_machines_so(generate: Callable, tmp_path: Path) -> None:
    generate("--count", "1", "--aperture", "1")
    first = (tmp_path / "set" / "shallow" / "000000.png").stat().st_mtime_ns
    result = json.loads(generate("--count", "2", "--aperture", "1", "--json").stdout)
    assert result["photos"] == 2
    assert result["settings"]["aperture"] == 1
    assert (tmp_path / "set" / "shallow" / "000000.png").stat().st_mtime_ns == first


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seed", "1"], "seed 0, not 1; give the same options or another --out"),
        (["--weights", "nowhere"], "no generator: nowhere does not exist"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(generate: Callable, options: list[str], words: str) -> None:
    generate("--count", "1")
    assert_one_line(generate("--count", "1", *options), words)


def test_help_teaches_a_first_try(cli: Callable) -> None:
    assert "dofkit generate argan --out try --count 12" in cli("generate", "argan", "--help").stdout
    assert "argan" in cli("generate", "--help").stdout


@pytest.mark.e2e
def test_the_depth_network_learns_from_a_set_and_is_judged_on_its_held_out_part(
    cli: Callable, tmp_path: Path, photos: str
) -> None:
    result = cli("train", "depth", "--out", str(tmp_path / "run"), "--argan", photos, "--size", "128", *TINY, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["held_out_pictures"] == 30
    load_weights(Stage.DEPTH, tmp_path / "run")


@pytest.mark.e2e
def test_the_renderers_learn_from_a_set_and_are_judged_on_composed_scenes(
    cli: Callable, tmp_path: Path, photos: str
) -> None:
    run = tmp_path / "run"
    small = ["--levels", "1", "--held-out", "1", "--maps", "5"]
    result = cli("train", "render", "--out", str(run), "--argan", photos, *small, *TINY, "--json")
    assert result.exit_code == 0, result.output
    assert {"psnr", "psnr_lowest"} <= set(json.loads(result.stdout)["figures"])
    assert not (run / "scenes").exists()
    (judged,) = (run / "held_out").iterdir()
    with np.load(judged) as stored:
        assert [name for name in stored.files if name.startswith("image")] == ["image0", "image1"]
    load_weights(Stage.LENS_BLUR, run)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "64"], "--size is about composed scenes"),
        (["--truth", "aperture"], "--truth is about composed scenes"),
        (["--scenes", "9"], "--scenes is about composed scenes"),
        (
            ["--levels", "2"],
            "with photos of 32 pixels and --levels 2: the lowest level needs 16 pixels; give --levels 1",
        ),
        (["--argan", "nowhere"], "samples.json: no such file"),
    ],
)
def test_what_does_not_go_with_a_set_is_refused_in_one_line(
    cli: Callable, generate: Callable, tmp_path: Path, options: list[str], words: str
) -> None:
    generate("--count", "1")
    arguments = ["--out", str(tmp_path / "run"), "--argan", str(tmp_path / "set"), *options]
    result = cli("train", "render", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_shipped_generator_puts_the_subject_before_its_background(cli: Callable, tmp_path: Path) -> None:
    assert SHIPPED.stat().st_size < 10e6
    result = cli("generate", "argan", "--out", str(tmp_path / "set"), "--count", "12")
    assert result.exit_code == 0, result.output
    photos = list(GeneratedSet.open(tmp_path / "set"))
    assert sum(subject_nearer(subject_of(photo.deep), photo.disparity) for photo in photos) >= 10
    assert all(abs(photo.deep - photo.shallow).mean() > 0 for photo in photos if photo.lens.aperture > 0.2)

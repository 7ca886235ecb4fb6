"""`dofkit train argan` and `dofkit evaluate argan` from end to end, tiny."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.argan_config import ArganConfig
from dofkit.train.networks.aperture_generator import ApertureGenerator
from dofkit.train.networks.cyclegan import Translator, TranslatorConfig
from dofkit.train.networks.lens_blur import LensBlurNet
from dofkit.train.weights import save_weights
from dofkit.train.weights.generative import GENERATOR, TRANSLATOR


@pytest.fixture
def run(cli: Callable) -> Callable[..., str]:
    """Run a command that must succeed; what it prints."""

    def succeeded(*arguments: object) -> str:
        result = cli(*(str(argument) for argument in arguments))
        assert result.exit_code == 0, result.output
        return result.stdout

    return succeeded


@pytest.fixture
def refused(cli: Callable) -> Callable[..., str]:
    """Run a command that must refuse its input; what it says, on one line."""

    def failed(*arguments: object) -> str:
        result = cli(*(str(argument) for argument in arguments))
        assert result.exit_code == 2
        return " ".join(result.stderr.split())

    return failed


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text("size = 32\nwidth = 4\ndiscriminator_width = 4\nviews = 3\nbatch = 4\n")
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(6):
        pixels = rng.integers(0, 256, (48, 40 + number, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_training_writes_weights_that_generate_and_a_sheet(
    run: Callable[..., str], refused: Callable[..., str], tmp_path: Path, config: Path, photos: Path
) -> None:
    out = tmp_path / "run"
    said = json.loads(
        run("train", "argan", "--out", out, "--config", config, "--photos", photos, "--steps", 2, "--threads", 1,
            "--workers", 0, "--augment", "--json")
    )  # fmt: skip
    assert said["photos"] == 6
    network = GENERATOR.load(Path(said["weights"]))
    assert network.config.size == 32
    assert network.config.augment
    assert Image.open(said["sheet"]).size == (8 * 64, 3 * 64)
    assert [file.name for file in (out / "sheets").iterdir()] == ["000002.png"]
    again = refused("train", "argan", "--out", out, "--config", config, "--photos", photos, "--steps", 2)
    assert "already holds a run" in again


def test_training_without_folders_draws_its_photos(run: Callable[..., str], tmp_path: Path, config: Path) -> None:
    said = run("train", "argan", "--out", tmp_path, "--config", config, "--drawn", 64, "--steps", 1, "--workers", 0)
    assert "learned from 64 photos" in said


def test_the_configurations_are_listed_with_what_they_are(run: Callable[..., str]) -> None:
    listed = run("train", "argan", "--list").splitlines()
    assert {"full", "no_mixture", "no_prior", "no_expansion", "baseline", "rgbd", "hologan"} <= {
        line.split()[0] for line in listed
    }


def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    refused: Callable[..., str], tmp_path: Path, config: Path
) -> None:
    out = tmp_path / "run"
    assert "bf16-mixed" in refused("train", "argan", "--out", out, "--precision", "16-mixed")
    assert "none of baseline" in refused("train", "argan", "--out", out, "--config", "nothing")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no photos" in refused("train", "argan", "--out", out, "--config", config, "--photos", empty)
    assert not out.exists()


@pytest.mark.e2e
def test_evaluation_scores_generators_beside_what_needs_none(
    run: Callable[..., str], tmp_path: Path, photos: Path
) -> None:
    file = GENERATOR.save(ApertureGenerator(ArganConfig(size=32, width=4, views=3)), tmp_path / "weights")
    options = ("--samples", 32, "--steps", 1, "--known", 2, "--threads", 1, "--out", tmp_path / "out", "--json")
    options += ("--photos", photos)
    torch.manual_seed(0)
    save_weights(LensBlurNet(), Stage.LENS_BLUR, tmp_path / "render")
    translator = TRANSLATOR.save(Translator(TranslatorConfig(width=4, blocks=1)), tmp_path / "cyclegan")
    options += ("--renderer", f"tiny={tmp_path / 'render'}", "--cyclegan", translator)
    said = json.loads(run("evaluate", "argan", f"tiny={file}", *options))
    names = [row["name"] for row in said["generators"]]
    assert names == ["constant", "centre prior", "CycleGAN", "tiny", "tiny, lens blur"]
    tiny = said["generators"][3]
    assert all(row["deep_to_shallow"]["psnr"] > 10 for row in said["generators"])
    assert [row["name"] for row in said["generators"] if row["depth"] is None] == ["CycleGAN", "tiny, lens blur"]
    assert set(tiny["depth"]) == {"shallow", "deep"}
    assert tiny["kid_1000"] > 0
    written = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert written["generators"] == said["generators"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png") == 2 + 3 + 1  # photos, truth, three readings, one sheet
    trained = next((tmp_path / "out" / "readers").glob("tiny-*/depth.safetensors"))
    before = trained.stat().st_mtime_ns
    again = json.loads(run("evaluate", "argan", f"tiny={file}", *options))["generators"][3]
    assert trained.stat().st_mtime_ns == before  # nothing is trained again
    assert again["deep_to_shallow"]["psnr"] == pytest.approx(tiny["deep_to_shallow"]["psnr"], abs=1e-3)


@pytest.mark.parametrize(
    ("given", "what"), [("tiny", "NAME=WEIGHTS"), ("a/b=c", "slashes"), ("x=nowhere", "does not exist")]
)
def test_generators_that_cannot_be_are_refused(
    refused: Callable[..., str], tmp_path: Path, given: str, what: str
) -> None:
    assert what in refused("evaluate", "argan", given, "--out", tmp_path)


def test_generators_of_different_sizes_are_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    named = []
    for size in (32, 64):
        GENERATOR.save(ApertureGenerator(ArganConfig(size=size, width=4, views=3)), tmp_path / str(size))
        named.append(f"g{size}={tmp_path / str(size)}")
    assert "no generator of this name" in refused(
        "evaluate", "argan", named[0], "--renderer", "other=x", "--out", tmp_path / "out"
    )
    assert "different sizes (g32 32, g64 64)" in refused("evaluate", "argan", *named, "--out", tmp_path / "out")


@pytest.mark.slow
def test_two_processes_train_one_generator(tmp_path: Path, config: Path, photos: Path) -> None:
    options = ["--config", config, "--photos", photos, "--steps", 3, "--devices", 2, "--workers", 0, "--threads", 1]
    command = [sys.executable, "-m", "dofkit", "train", "argan", "--out", tmp_path / "run", *options]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [str(part) for part in command], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert GENERATOR.load(tmp_path / "run").config.size == 32

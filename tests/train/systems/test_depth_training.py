"""`dofkit train depth` from end to end, on drawn scenes and a handful of steps."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dofkit.cli import main
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.data.depth_sources import shapes
from dofkit.train.networks.depth import DepthNet
from dofkit.train.systems.depth import FIGURES
from dofkit.train.weights import load_weights

TINY = ["--scratch", "--batch", "2", "--size", "64", "--workers", "0", "--threads", "1", "--checkpoint-every", "2"]


def run(*arguments: str):
    return CliRunner().invoke(main, ["train", "depth", *TINY, *arguments])


@pytest.mark.e2e
def test_a_run_without_data_trains_writes_weights_and_resumes(tmp_path):
    first = run("--out", str(tmp_path), "--steps", "2")
    assert first.exit_code == 0, first.output
    before = load_weights(Stage.DEPTH, tmp_path).state_dict()
    second = run("--out", str(tmp_path), "--steps", "3", "--resume", "--json")
    assert second.exit_code == 0, second.output
    report = json.loads(second.stdout)
    assert set(report["figures"]) == set(FIGURES) - {"contact"}  # built subjects are not said to stand
    network = load_weights(Stage.DEPTH, tmp_path)
    assert isinstance(network, DepthNet)
    assert any(not torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.e2e
def test_a_run_starts_from_given_weights(tmp_path):
    run("--out", str(tmp_path / "coarse"), "--steps", "1")
    result = run(
        "--out", str(tmp_path / "fine"), "--steps", "1", "--lr", "1e-12", "--weights", str(tmp_path / "coarse")
    )
    assert result.exit_code == 0, result.output
    coarse, fine = (load_weights(Stage.DEPTH, tmp_path / name).state_dict() for name in ("coarse", "fine"))
    torch.testing.assert_close(coarse["disparity.weight"], fine["disparity.weight"])


@pytest.mark.e2e
def test_a_mask_folder_alone_is_enough(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / "people" / name).mkdir(parents=True)
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 255, (40, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "people" / "images" / f"{index}.jpg")
        Image.fromarray(((pixels[..., 0] > 99) * 255).astype(np.uint8)).save(tmp_path / "people/masks" / f"{index}.png")
    folder = str(tmp_path / "people")
    result = run("--out", str(tmp_path / "run"), "--steps", "1", "--standing", folder, "--photos", folder)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "40"], "--size must be at least 64, not 40"),
        (["--aspect", "3x4"], "--aspect 3x4: give each as width:height"),
        (["--aspect", "3:0"], "--aspect 3:0: give each as width:height"),
        (["--rgbd", "/nowhere"], "no such folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(tmp_path, arguments, message):
    result = run("--out", str(tmp_path / "run"), "--steps", "1", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--imagenet", "/nowhere.pth"], "no ImageNet weights at /nowhere.pth"),
        (["--encoder", "resnet50"], "--encoder resnet50 needs --imagenet"),
    ],
)
def test_what_an_encoder_starts_from_must_be_there(tmp_path, arguments, message):
    result = CliRunner().invoke(main, ["train", "depth", "--out", str(tmp_path / "run"), "--steps", "1", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "run").exists()


def test_shapes_have_the_area_asked_for_and_are_multiples_of_the_stride():
    assert shapes(256, ["1:1", "3:4", "4:3"]) == [(256, 256), (224, 288), (288, 224)]
    assert shapes(384, ["3:4", "16:9"]) == [(320, 448), (512, 288)]

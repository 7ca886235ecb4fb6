"""`dofkit dfd` and its training, from end to end on drawn pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dofkit.cli import main
from dofkit.focal import relative_sweep
from dofkit.runtime_ref.imageio import read_disparity
from dofkit.train.data.focal_stacks import DeepPicture, render_stack
from dofkit.train.networks.focal_depth import FocalDepthNet
from dofkit.train.weights.focal import FOCAL, SHIPPED

LENS = ["--focal-length", "50", "--f-number", "8", "--pixel", "12"]


def run(*arguments: str):
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def untrained(tmp_path: Path) -> str:
    torch.manual_seed(0)
    return str(FOCAL.save(FocalDepthNet(), tmp_path / "weights"))


def slices(folder: Path, near: float = 1.2, far: float = 5.0) -> list[str]:
    """A step: near on the left, far on the right, through the sweep of the evaluation."""
    from dofkit.train.rendering.focus_sweep import SWEEPS

    noise = np.random.default_rng(1).integers(0, 255, (96, 128, 3)).astype(np.uint8)
    depth = np.full((96, 128), near, np.float32)
    depth[:, 64:] = far
    source = DeepPicture("step", noise, depth, np.ones((96, 128), bool))
    paths = []
    for number, one in enumerate(render_stack(source, SWEEPS["nyu"], discs=True, linear=True)):
        paths.append(str(folder / f"{number}.png"))
        Image.fromarray(one).save(paths[-1])
    return paths


def test_a_stack_with_distances_gives_millimetres_a_disparity_and_a_sharp_picture(
    tmp_path: Path, untrained: str
) -> None:
    paths = slices(tmp_path)
    out = tmp_path / "out"
    made = run(
        "dfd", *paths, "--focus-distances", "1,1.5,2.5,4,6", *LENS, "--aligned", "--weights", untrained,
        "--out", str(out), "--json",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["metric"] is True
    millimetres = np.asarray(Image.open(out / "depth.png"))
    assert np.median(millimetres[8:-8, 8:48]) == pytest.approx(1200, rel=0.25)
    assert np.median(millimetres[8:-8, 80:-8]) == pytest.approx(5000, rel=0.25)
    disparity = read_disparity(out / "disparity.png")
    assert np.median(disparity[:, :48]) > np.median(disparity[:, 80:]) + 0.2
    assert Image.open(out / "all_in_focus.png").size == (128, 96)


def test_the_order_says_what_is_near_where_distances_are_unknown(tmp_path: Path, untrained: str) -> None:
    paths = slices(tmp_path)
    for flags, nearer in ((["--far-first"], paths[::-1]), ([], paths)):
        out = tmp_path / f"out{len(flags)}"
        made = run("dfd", *nearer, *flags, "--aligned", "--weights", untrained, "--out", str(out))
        assert made.exit_code == 0, made.output
        assert "relative depth, no distances being known" in made.stdout.replace("\n", " ")
        assert not (out / "depth.png").exists()
        disparity = read_disparity(out / "disparity.png")
        assert np.median(disparity[:, :48]) > np.median(disparity[:, 80:])


def test_a_relative_sweep_blurs_the_last_slice_by_what_was_asked() -> None:
    sweep = relative_sweep(5, 8.0)
    first, last = (torch.tensor(one) for one in (sweep.focus[0], sweep.focus[-1]))
    assert float(sweep.camera.radius(first, float(last))) == pytest.approx(8.0, rel=0.02)
    assert relative_sweep(5, 8.0, far_first=True).focus == sweep.focus[::-1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--focus-distances", "1,2", *LENS], "2 focus distances for 5 slices; give one for each"),
        (["--focus-distances", "1,1.5,2.5,4,6"], "needs --focal-length, --f-number, --pixel"),
        (["--f-number", "8"], "a lens without --focus-distances says nothing of depth"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(tmp_path: Path, untrained: str, given: list[str], said: str) -> None:
    refused = run("dfd", *slices(tmp_path), *given, "--weights", untrained, "--out", str(tmp_path / "out"))
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert not (tmp_path / "out").exists()


def rgbd_set(folder: Path) -> Path:
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(folder / "rgb" / f"{number}.png")
        Image.fromarray(np.linspace(60, 255, 64 * 64).reshape(64, 64).astype(np.uint8)).save(
            folder / "depth" / f"{number}.png"
        )
    (folder / "scale.csv").write_text("index,depth_max_m\n0,5\n1,5\n2,5\n")
    return folder


@pytest.mark.e2e
@pytest.mark.parametrize("supervision", ["none", "depth"])
def test_a_training_leaves_weights_that_the_evaluation_takes(tmp_path: Path, supervision: str) -> None:
    rooms, out = rgbd_set(tmp_path / "rooms"), tmp_path / "run"
    trained = run(
        "train", "dfd", "--out", str(out), "--rgbd", str(rooms), "--steps", "2", "--size", "32", "--side", "64",
        "--batch", "2", "--workers", "0", "--threads", "1", "--supervision", supervision, "--json",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    assert json.loads(trained.stdout.splitlines()[-1])["figures"]["delta1"] > 0
    scored = run(
        "evaluate", "dfd", str(rooms), "--weights", str(out), "--side", "64", "--count", "1", "--condition", "clean",
        "--out", str(tmp_path / "scores"), "--threads", "1", "--json",
    )  # fmt: skip
    assert scored.exit_code == 0, scored.output
    methods = {row["method"] for row in json.loads((tmp_path / "scores" / "scores.json").read_text())["rows"]}
    assert methods == {"ours", "variance of Laplacian", "argmin of confusion"}


def test_the_weights_that_ship_are_small_and_say_their_terms() -> None:
    from dofkit.train.weights.files import read_weights

    assert SHIPPED.stat().st_size <= 4_000_000
    assert read_weights(SHIPPED, "missing").metadata["licence"].startswith("research only")
    assert FOCAL.load(SHIPPED).config.depths == 24

"""`dofkit dfd` and its training, from end to end on drawn pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dofkit.cli import main
from dofkit.focal_providers import GraphProvider
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.imageio import read_disparity
from dofkit.train.data.focal_stacks import DeepPicture, render_stack
from dofkit.train.data.relative_sweep import evenly, relative_sweep
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
    sweep = relative_sweep(evenly(5), 8.0)
    first, last = (torch.tensor(one) for one in (sweep.focus[0], sweep.focus[-1]))
    assert float(sweep.camera.radius(first, float(last))) == pytest.approx(8.0, rel=0.02)
    assert relative_sweep(evenly(5)[::-1], 8.0).focus == sweep.focus[::-1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--focus-distances", "1,2", *LENS], "2 focus distances for 5 slices; give one for each"),
        (["--focus-distances", "1,1.5,2.5,4,6"], "needs --focal-length, --f-number, --pixel"),
        (["--f-number", "8"], "a lens without --focus-distances says nothing of depth"),
        (["--target", "onnx"], "--target says which file of a bundle computes"),
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


@dataclass
class Remembered:
    """A session that keeps what it was asked, and answers with the first slice and a ramp."""

    runtime: str = "nobody"
    asked: Mapping[str, np.ndarray] | None = None

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        self.asked = inputs
        stack = inputs["stack"]
        ramp = np.linspace(0, 1, stack.shape[2] * stack.shape[3], dtype=np.float32).reshape(1, 1, *stack.shape[2:])
        return np.concatenate([stack[:1], ramp], 1)


def test_a_graph_sees_a_stack_fitted_into_its_size_and_gives_it_back_upright() -> None:
    session = Remembered()
    graph = GraphProvider(session, 3, (32, 64))
    tall = [
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (128, 48, 3)).astype(np.uint8))
        for number in range(5)
    ]
    assert graph.chosen(5) == [0, 2, 4]
    small = graph.reduced(tall[:3])
    assert small.shape == (3, 64, 24, 3)  # upright, as it fits on its side
    sweep = relative_sweep(evenly(3), 8.0)
    disparity, picture = graph.look(small, sweep)
    assert session.asked is not None
    assert session.asked["stack"].shape == (3, 3, 32, 64)
    assert np.array_equal(session.asked["radius"][:, :, 0, 0], sweep.radius(24).numpy())
    assert np.array_equal(picture, small[0])
    assert disparity.shape == (64, 24)
    assert np.ptp(disparity, axis=1).min() > 0.5  # rows of the graph's ramp are columns of the picture
    with pytest.raises(DofkitError, match="takes 3 slices, the stack has 2; export it with --slices 2"):
        graph.chosen(2)


@pytest.mark.e2e
def test_an_exported_graph_finds_the_depth_that_pytorch_finds(tmp_path: Path) -> None:
    bundle = tmp_path / "focal.dofbundle"
    arguments = ["--target", "onnx", "--stage", "focal_depth", "--stack-size", "96x128", "--out", str(bundle)]
    made = run("export", *arguments, "--depth-size", "128")
    assert made.exit_code == 0, made.output
    manifest = json.loads((bundle / "manifest.json").read_text())
    (model,) = manifest["models"]
    assert [tensor["shape"] for tensor in model["inputs"]] == [[5, 3, 96, 128], [5, 24, 1, 1]]
    assert list(manifest["networks"]) == ["focal_depth"]
    paths = slices(tmp_path)
    for name, chosen in (("torch", []), ("graph", ["--bundle", str(bundle)])):
        found = run(
            "dfd", *paths, "--focus-distances", "1,1.5,2.5,4,6", *LENS, "--aligned", *chosen,
            "--out", str(tmp_path / name),
        )  # fmt: skip
        assert found.exit_code == 0, found.output
    for name in ("disparity.png", "all_in_focus.png"):
        ours, theirs = (np.asarray(Image.open(tmp_path / one / name), np.float64) for one in ("torch", "graph"))
        assert np.abs(ours - theirs).mean() <= 1e-3 * ours.max()

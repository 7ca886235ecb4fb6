"""Published sets of focal stacks, written by the library that reads EXR and by Pillow in the sets' own layouts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dofkit.cli import main
from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.data.focal_stacks import RecordedStacks, StackSettings, TrainingStacks
from dofkit.train.data.stack_sets import exr_depth, find_stacks, split_stacks

OpenEXR = pytest.importorskip("OpenEXR")


def write_exr(path: Path, values: np.ndarray) -> None:
    pixels = np.repeat(values[:, :, None], 3, 2)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {"RGB": pixels}) as file:
        file.write(str(path))


def defocusnet(folder: Path, samples: int = 5, slices: int = 5, side: int = 48) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(samples):
        for index in range(1, slices + 1):
            pixels = rng.integers(0, 255, (side, side, 3)).astype(np.uint8)
            pixels[:, :, 0] = 10 * index
            Image.fromarray(pixels).save(folder / f"{number:06}_{index:02}All.tif")
        depth = np.full((side, side), 0.25 + number, np.float16)
        depth[0] = np.inf
        write_exr(folder / f"{number:06}Dpt.exr", depth)
    return folder


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_depth_of_an_exr_file_is_read_in_metres_and_what_is_far_or_unknown_is_told_apart(
    tmp_path: Path, kind: type[np.floating]
) -> None:
    values = np.array([[0.5, 1.25], [20.0, np.nan]], kind)
    write_exr(tmp_path / "a.exr", values)
    assert np.array_equal(exr_depth(tmp_path / "a.exr"), [[0.5, 1.25], [3.0, np.nan]], equal_nan=True)


def test_a_damaged_exr_file_is_named(tmp_path: Path) -> None:
    write_exr(tmp_path / "a.exr", np.ones((32, 32), np.float32))
    (tmp_path / "cut.exr").write_bytes((tmp_path / "a.exr").read_bytes()[:200])
    with pytest.raises(DofkitError, match=r"cut\.exr cannot be read as OpenEXR"):
        exr_depth(tmp_path / "cut.exr")


def test_a_sample_of_defocusnet_is_its_five_slices_in_focus_order_with_its_depth(tmp_path: Path) -> None:
    found = find_stacks(defocusnet(tmp_path / "fs6"))
    assert [one.name for one in found] == [f"{number:06}" for number in range(5)]
    training, held = split_stacks(found)
    assert [len(training), len(held)] == [4, 1]
    assert held[0].name == "000004"
    read = found[1].read(256)
    assert read.stack.shape == (5, 48, 48, 3)
    assert read.stack[:, 5, 5, 0].tolist() == [10, 20, 30, 40, 50]
    assert read.sweep.focus == (0.1, 0.15, 0.3, 0.7, 1.5)
    assert read.metres is not None
    assert np.isnan(read.metres[0]).all()
    assert (read.metres[1:] == 1.25).all()
    # a camera of fewer pixels has larger ones: the blur of a distance is the same share of the picture
    radii = [float(found[1].read(side).sweep.camera.radius(torch.tensor(3.0), 0.1)) for side in (48, 32)]
    assert radii[0] / radii[1] == pytest.approx(1.5)


def test_what_does_not_fit_the_layout_is_refused_in_a_line(tmp_path: Path) -> None:
    missing = defocusnet(tmp_path / "missing", samples=1)
    (missing / "000000Dpt.exr").unlink()
    with pytest.raises(DofkitError, match=r"its depth, 000000Dpt\.exr, is missing"):
        find_stacks(missing)
    other = find_stacks(defocusnet(tmp_path / "six", samples=1, slices=6))
    with pytest.raises(DofkitError, match=r"has 6 slices, DefocusNet's have 5"):
        other[0].read(256)


def mobile(folder: Path) -> Path:
    """Two scenes; one calibrated, under its other name."""
    rng = np.random.default_rng(1)
    for scene in ("metals", "kitchen"):
        (folder / "Aligned" / "set" / scene).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "Aligned" / "set" / scene / f"a{number + 1:02}.jpg")
    (folder / "calibration" / "metal").mkdir(parents=True)
    text = "1.0 0.2\n1.25 0.2\n2.0 0.2\n4.0 0.2\n35.0\n"
    (folder / "calibration" / "metal" / "calibrated.txt").write_text(text)
    return folder


def test_a_scene_of_mobile_depth_has_relative_distances_where_it_was_calibrated(tmp_path: Path) -> None:
    kitchen, metals = find_stacks(mobile(tmp_path))
    assert (kitchen.name, metals.name) == ("Aligned/set/kitchen", "Aligned/set/metals")
    read = metals.read(64)
    assert read.metres is None
    inverse = 1 / np.array(read.sweep.focus)
    places = (inverse[0] - inverse) / np.ptp(inverse)
    assert places == pytest.approx([0, 0.2 / 0.75, 0.5 / 0.75, 1])  # of 1 / distance
    even = 1 / np.array(kitchen.read(64).sweep.focus)
    assert np.diff(even) == pytest.approx(np.full(3, np.diff(even)[0]))


def test_recorded_stacks_are_learned_from_and_judge(tmp_path: Path) -> None:
    recorded = [one.read(64) for one in find_stacks(defocusnet(tmp_path / "fs6", samples=2))]
    settings = StackSettings(crop=32, batch=2, depths=8)
    first, second = (TrainingStacks([], settings, 3, recorded) for _ in range(2))
    list(map(first.__getitem__, range(3)))
    for number in range(8):
        ours, theirs = first[number], second[number]
        assert torch.equal(ours.stack, theirs.stack)
        assert torch.equal(ours.radius, theirs.radius)
        assert bool(ours.picture.isnan().all())
        assert ours.radius.shape == (len(ours.stack), 8)
    judged = RecordedStacks(recorded, 8)[1]
    known = judged.place[judged.place.isfinite()]
    assert recorded[1].sweep.depth_at(known, 8).tolist() == pytest.approx([1.25] * 48 * 47, rel=1e-4)


@pytest.mark.e2e
def test_a_training_and_an_evaluation_take_these_sets(tmp_path: Path) -> None:
    known, unknown = defocusnet(tmp_path / "fs6"), mobile(tmp_path / "mobile")
    run = [
        "train", "dfd", "--out", str(tmp_path / "run"), "--stacks", str(known), "--stacks", str(unknown), "--steps",
        "1", "--size", "32", "--side", "64", "--batch", "2", "--workers", "0", "--threads", "1", "--json",
    ]  # fmt: skip
    trained = CliRunner().invoke(main, run)
    assert trained.exit_code == 0, trained.output
    assert set(json.loads(trained.stdout.splitlines()[-1])["figures"]) == {"delta1", "abs_rel", "rmse"}
    evaluate = ["evaluate", "dfd", "--held-out", "--condition", "clean", "--out", str(tmp_path / "scores"), "--json"]
    scored = CliRunner().invoke(main, [*evaluate, str(known)])
    assert scored.exit_code == 0, scored.output
    rows = json.loads((tmp_path / "scores" / "scores.json").read_text())["rows"]
    assert [(row["dataset"], row["pictures"], row["means"]["psnr"]) for row in rows] == [("fs6", 1, None)] * 3
    refused = CliRunner().invoke(main, [*evaluate, str(unknown)])
    assert refused.exit_code == 2
    assert "nothing says how far things are in these stacks" in refused.stderr

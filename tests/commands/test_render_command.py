"""`dofkit render`: every kind of picture gives a right result or one line and exit code 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.runtime_ref.imageio import read_photo
from dofkit.runtime_ref.parity.metrics import psnr

from .refusals import assert_one_line


@pytest.fixture
def render(cli: Callable, bundle_path: Path, tmp_path: Path) -> Callable:
    """Render with the ONNX files of the small bundle; returns (result, path of the picture)."""

    def run(image: Path, *options: str, out: str = "out.png"):
        goal = tmp_path / out
        return cli("render", str(image), "--bundle", str(bundle_path), "--out", str(goal), *options), goal

    return run


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "I;16", "1"])
def test_every_colour_mode_is_rendered(render: Callable, photo: np.ndarray, tmp_path: Path, mode: str) -> None:
    suffix = ".jpg" if mode == "CMYK" else ".png"
    path = tmp_path / f"mode{suffix}"
    if mode == "I;16":
        Image.fromarray(photo[:, :, 0].astype(np.uint16) * 257).save(path)
    else:
        Image.fromarray(photo).convert(mode).save(path)
    result, goal = render(path)
    assert result.exit_code == 0, result.output
    with Image.open(goal) as image:
        assert (image.mode, image.size) == ("RGB", (photo.shape[1], photo.shape[0]))


@pytest.mark.parametrize("size", [(1, 1), (3, 20000), (20000, 3), (2, 2), (321, 1)])
def test_odd_sizes_are_rendered(render: Callable, tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "odd.png"
    Image.new("RGB", size, (200, 100, 50)).save(path)
    result, goal = render(path)
    assert result.exit_code == 0, result.output
    with Image.open(goal) as image:
        assert image.size == size


def test_what_is_no_photo_is_one_line(render: Callable, photo: np.ndarray, tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    Image.fromarray(photo).save(whole)
    contents = {"truncated.jpg": whole.read_bytes()[:1500], "text.jpg": b"hello\n", "empty.jpg": b""}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
        result, goal = render(tmp_path / name)
        assert_one_line(result, name)
        assert not goal.exists()
    result, goal = render(tmp_path / "missing.jpg")
    assert_one_line(result, "missing.jpg", "no such file")


@pytest.mark.parametrize("out", ["nowhere/out.png", "out.gif"])
def test_a_goal_that_cannot_be_written_is_refused_before_rendering(
    render: Callable, photo_file: Path, out: str
) -> None:
    result, goal = render(photo_file, out=out)
    assert_one_line(result, "out.")
    assert not goal.exists()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".heic", ".webp"])
def test_every_format_is_written(render: Callable, tmp_path: Path, suffix: str) -> None:
    smooth = np.tile(np.linspace(0, 255, 120).astype(np.uint8)[:, None, None], (1, 90, 3))
    Image.fromarray(smooth).save(tmp_path / "smooth.png")
    result, goal = render(tmp_path / "smooth.png", "--aperture", "0", out=f"out{suffix}")
    assert result.exit_code == 0, result.output
    assert psnr(smooth.astype(np.float32) / 255, read_photo(goal).pixels.astype(np.float32) / 255) > 40


def test_aperture_zero_leaves_the_photo_as_it_is(render: Callable, photo_file: Path, photo: np.ndarray) -> None:
    result, goal = render(photo_file, "--aperture", "0")
    assert result.exit_code == 0, result.output
    with Image.open(goal) as image:
        np.testing.assert_array_equal(np.asarray(image), photo)


def test_onnx_tflite_and_pytorch_render_the_same(
    cli: Callable, render: Callable, weights: Path, photo_file: Path, tmp_path: Path
) -> None:
    # Depth comes from one file: the two depth inputs differ in size (128 in the small bundle, 384 in PyTorch's plan).
    disparity = tmp_path / "d.png"
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (48, 1))
    Image.fromarray(ramp).save(disparity)
    options = ["--disparity", str(disparity), "--focus-disparity", "0.3", "--aperture", "1"]
    pictures = []
    for target in ("onnx", "tflite"):
        result, goal = render(photo_file, "--target", target, *options, out=f"{target}.png")
        assert result.exit_code == 0, result.output
        pictures.append(goal)
    goal = tmp_path / "torch.png"
    result = cli("render", str(photo_file), "--weights", str(weights), "--out", str(goal), *options)
    assert result.exit_code == 0, result.output
    reference, *others = (np.asarray(Image.open(path), np.float32) / 255 for path in (goal, *pictures))
    for other in others:
        assert psnr(reference, other) >= 55


def test_the_disparity_is_saved_and_read_back(render: Callable, photo_file: Path, tmp_path: Path) -> None:
    first = tmp_path / "d.png"
    result, goal = render(photo_file, "--save-disparity", str(first), "--focus-range", "0")
    assert result.exit_code == 0, result.output
    with Image.open(first) as image:
        assert image.mode.startswith("I")
        assert np.asarray(image).max() > 255
    result, again = render(photo_file, "--disparity", str(first), out="again.png")
    assert result.exit_code == 0, result.output
    a, b = (np.asarray(Image.open(path), np.float32) / 255 for path in (goal, again))
    assert psnr(a, b) > 50


def test_json_says_what_was_done(render: Callable, photo_file: Path) -> None:
    result, goal = render(photo_file, "--focus", "0.5,0.25", "--json")
    facts = json.loads(result.stdout)
    assert facts["out"] == str(goal)
    assert facts["disparity"] == "predicted"
    assert "ONNX Runtime" in facts["runtime"]


@pytest.mark.parametrize(
    "options",
    [
        ["--focus", "0.5"],
        ["--focus", "2,0.5"],
        ["--aperture", "1.5"],
        ["--focus", "0.5,0.5", "--focus-disparity", "0.1"],
        ["--weights", "somewhere"],
        ["--disparity", "missing.png"],
    ],
)
def test_bad_options_exit_with_2(render: Callable, photo_file: Path, options: list[str]) -> None:
    result, goal = render(photo_file, *options)
    assert result.exit_code == 2
    assert not goal.exists()


def test_orientation_is_applied_once_and_metadata_kept(render: Callable, photo: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "rotated.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # shown rotated by 90° clockwise
    exif[0x010F] = "dofkit camera"
    Image.fromarray(photo).save(path, exif=exif, quality=100, subsampling=0)
    result, goal = render(path, "--aperture", "0", out="out.jpg")
    assert result.exit_code == 0, result.output
    with Image.open(goal) as image:
        assert image.size == (photo.shape[0], photo.shape[1])
        assert image.getexif()[0x0112] == 1
        assert image.getexif()[0x010F] == "dofkit camera"
        shown = np.asarray(image, np.float32) / 255
    assert psnr(np.rot90(photo, -1).astype(np.float32) / 255, shown) > 25


def test_a_coarse_map_is_used_with_its_edges_on_the_photos(cli: Callable, weights: Path, tmp_path: Path) -> None:
    pixels = np.full((120, 160, 3), (40, 110, 160), np.uint8)
    pixels[:, 75:] = (190, 60, 50)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    near = np.zeros((120, 160), np.uint8)
    near[:, 75:] = 200
    wrong = {}
    for factor in (2, 8):
        small = np.rint(near.reshape(120 // factor, factor, 160 // factor, factor).mean(axis=(1, 3))).astype(np.uint8)
        Image.fromarray(small).save(tmp_path / "small.png")
        result = cli(
            "render", str(tmp_path / "photo.png"), "--disparity", str(tmp_path / "small.png"), "--aperture", "0",
            "--weights", str(weights), "--save-disparity", str(tmp_path / "used.png"), "--out", str(tmp_path / "o.png"),
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        used = np.asarray(Image.open(tmp_path / "used.png")) / 257
        wrong[factor] = used.shape, used.shape == near.shape and float((np.abs(used - near) > 20).mean())
    assert wrong[2] == ((60, 80), False)  # fine enough: as it is
    shape, share = wrong[8]
    assert shape == (120, 160)
    assert share == 0.0  # bilinear would be wrong in 8 of 160 columns

"""The worked example of docs/networks.md, from its package to a bundle and a portrait."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ..train.brought.acme import NAME, install
from ..train.brought.onnx_files import written
from .refusals import assert_one_line


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example's package."""
    folder = install(tmp_path / "site")
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("acme_blur", None)


@pytest.mark.e2e
def test_a_packages_lens_blur_becomes_a_bundle_that_says_whose_it_is(
    cli: Callable, installed: Path, tmp_path: Path, weights: Path, photo_file: Path
) -> None:
    bundle = tmp_path / "acme.dofbundle"
    done = cli(
        "export", "--target", "onnx", "--precision", "fp32", "--precision", "fp16", "--precision", "w8",
        "--stage", "lens_blur", "--photo", str(photo_file), "--depth-size", "96", "--weights", str(weights),
        "--lens-blur-model", NAME, "--out", str(bundle), "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert {row["verdict"] for row in report["parity"]["results"]} == {"PASS"}
    layers = {layer["name"]: layer for model in json.loads((bundle / "manifest.json").read_text())["models"]
              for layer in model["layers"]}  # fmt: skip
    assert set(layers) == {"network.down", "network.around.0", "network.around.2", "network.up"}
    assert not any(layer["problem"] or layer["uncompared"] for layer in layers.values())
    network = json.loads((bundle / "manifest.json").read_text())["networks"]["lens_blur"]
    assert (network["licence"], network["author"], network["halo"]) == ("Apache-2.0", "Acme Cameras", 14)
    for page in ("README.md", "report.html"):
        text = (bundle / page).read_text()
        assert "acme_blur (AcmeBlur), package acme-blur 1.0" in text
        assert "Apache-2.0" in text
    again = ("check", str(bundle), "--against", "pytorch", "--weights", str(weights))
    assert_one_line(cli(*again), "lens_blur was exported from acme_blur; give it with --lens-blur-model")
    assert cli(*again, "--lens-blur-model", NAME).exit_code == 0


@pytest.mark.e2e
def test_a_portrait_is_blurred_by_the_packages_network(
    cli: Callable, installed: Path, tmp_path: Path, photo: np.ndarray
) -> None:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    ramp = np.linspace(0, 65535, photo.shape[1], dtype=np.uint16)
    Image.fromarray(np.tile(ramp, (photo.shape[0], 1))).save(tmp_path / "disparity.png")
    outputs = []
    for options in ((), ("--lens-blur-model", NAME)):
        goal = tmp_path / f"{len(options)}.png"
        done = cli(
            "render", str(tmp_path / "photo.png"), "--disparity", str(tmp_path / "disparity.png"),
            "--focus-disparity", "1", "--aperture", "1", "--out", str(goal), *options,
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        outputs.append(np.asarray(Image.open(goal), np.int16))
    assert np.abs(outputs[0] - outputs[1]).max() > 2


@pytest.mark.e2e
def test_an_onnx_file_becomes_a_bundle_of_onnx_alone(
    cli: Callable, tmp_path: Path, photo_file: Path, weights: Path
) -> None:
    bundle = tmp_path / "theirs.dofbundle"
    asked = (
        "export", "--stage", "depth", "--depth-model", str(written(tmp_path / "theirs.onnx", opset=20)), "--depth-kind",
        "metric", "--depth-normalisation", "imagenet", "--assume-sign", "--licence", "CC-BY-NC-4.0", "--weights",
        str(weights), "--photo", str(photo_file), "--out", str(bundle),
    )  # fmt: skip
    refused = cli(*asked, "--target", "tflite")
    assert refused.exit_code == 2
    warning, error = refused.stderr.splitlines()
    assert "the network's licence is 'CC-BY-NC-4.0', which does not let a product use it" in warning
    assert "an ONNX file is exported to ONNX only" in error
    assert not bundle.exists()
    done = cli(*asked, "--target", "onnx", "--precision", "fp32", "--precision", "fp16", "--precision", "w8", "--json")
    assert done.exit_code == 0, done.output
    assert {row["verdict"] for row in json.loads(done.stdout)["parity"]["results"]} == {"PASS"}
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert {model["deployment"] for model in manifest["models"]} == {"ONNX opset 20"}
    assert {layer["name"] for model in manifest["models"] for layer in model["layers"]} == {
        "network.first",
        "network.last",
    }
    network = manifest["networks"]["depth"]
    assert (network["architecture"], network["licence"], network["parameters"]) == ("onnx", "CC-BY-NC-4.0", 6177)
    assert network["configuration"] == {
        "source": "theirs.onnx", "format": "ONNX", "model": "", "kind": "metric", "size": "16x24",
    }  # fmt: skip
    report, readme = ((bundle / name).read_text() for name in ("report.html", "README.md"))
    assert "not for products" in report
    assert "against ONNX Runtime on theirs.onnx" in report
    assert "the outputs of ONNX Runtime on theirs.onnx" in readme
    checked = cli("check", str(bundle), "--precision", "fp32")
    assert checked.stdout.startswith("Parity with ONNX Runtime on theirs.onnx (worst golden case)")
    assert "**This licence does not let a product use it.**" in readme


@pytest.mark.parametrize(
    "command",
    [
        ("export", "--target", "onnx", "--out", "OUT"),
        ("render", "PHOTO", "--out", "OUT"),
    ],
)
def test_a_name_that_no_package_brings_is_one_line_and_nothing_is_written(
    cli: Callable, tmp_path: Path, photo_file: Path, command: tuple[str, ...]
) -> None:
    goal = tmp_path / "goal.png"
    words = [{"OUT": str(goal), "PHOTO": str(photo_file)}.get(word, word) for word in command]
    done = cli(*words, "--upsampling-model", "nobodys")
    assert_one_line(done, "--upsampling-model no installed package brings a network called 'nobodys'")
    assert not goal.exists()


def test_bench_takes_a_network_of_yours_for_pytorch_only(cli: Callable, tmp_path: Path) -> None:
    done = cli("bench", str(tmp_path), "--lens-blur-model", NAME)
    assert_one_line(done, "--lens-blur-model says nothing without --pytorch")

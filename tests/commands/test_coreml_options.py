"""`dofkit export` with Core ML's options: what is refused before any work, what the help teaches, one whole export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.target import Precision


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--target onnx --keep-fp32 sqrt", "--keep-fp32 concerns Core ML and Core AI only"),
        ("--target coreai --image-outputs", "--image-outputs concerns Core ML only, the targets are coreai"),
        ("--target coreai --keep-fp32 sqrt", "add --precision fp16"),
        ("--target coreai --precision dynamic", "fixed ranges only; take w8 or w8a8"),
        ("--target tflite --target onnx --single-package", "the targets are tflite, onnx; add --target coreml"),
        ("--target coreml --precision w4", "needs iOS 18, macOS 15 or newer; add --deployment-target iOS18"),
        ("--target coreml --precision w8a8 --deployment-target iOS16", "--deployment-target iOS17"),
        ("--target coreml --single-package", "--deployment-target iOS18"),
        ("--target coreml --extra-tile 256", "add --single-package"),
        ("--target coreml --keep-fp32 sqrt", "add --precision fp16"),
        ("--target coreml --precision dynamic", "fixed ranges only; take w8 or w8a8"),
        ("--target onnx --precision palette6", "palettes exist in Core ML and Core AI only"),
        ("--target onnx --precision fp16 --recipe r.json", "add --precision mixed"),
        ("--target onnx --precision mixed", "needs a recipe for these weights"),
        ("--target coreml --deployment-target iOS18 --single-package --extra-tile 97", "must be multiples of 2"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_before_any_work(
    cli: Callable, weights: Path, tmp_path: Path, options: str, words: str
) -> None:
    result = cli("export", *options.split(), "--weights", str(weights), "--out", str(tmp_path / "x.dofbundle"))
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_help_has_sections_for_what_some_targets_heed(cli: Callable) -> None:
    general, own = cli("export", "--help").stdout.split("Core ML only:")
    only, both = own.split("Core ML and Core AI:")
    assert "--target" in general
    for option, section in (
        ("--deployment-target", only), ("--image-outputs", only), ("--fp32-budget", both), ("--keep-fp32", both),
        ("--single-package", both),
    ):  # fmt: skip
        assert option in section
        assert option not in general.split("Options:")[1]


@pytest.mark.e2e
def test_a_compressed_single_package_passes_its_check(cli: Callable, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "one.dofbundle"
    options = "--target coreml --precision w8 --deployment-target iOS18 --single-package --image-inputs"
    sizes = "--stage guided_upsampling --tile 112 --depth-size 128 --extra-tile 128 --json"
    result = cli("export", *options.split(), *sizes.split(), "--weights", str(weights), "--out", str(out))
    assert result.exit_code == 0, result.output
    storage = json.loads(result.stdout)["storage"]
    assert [(row["function"], row["compressed"] + len(row["left"])) for row in storage] == [
        ("guided_upsampling", 10), ("guided_upsampling_128", 10),
    ]  # fmt: skip
    bundle = Bundle.open(out)
    assert {model.precision for model in bundle.manifest.models} == {Precision.W8}
    assert len(bundle.models()) == len(bundle.other_tiles()) == 1
    assert cli("check", str(out)).exit_code == 0


@pytest.mark.slow
def test_every_tile_size_of_a_package_is_compared_over_whole_pictures(
    cli: Callable, weights: Path, tmp_path: Path
) -> None:
    options = "--target coreml --deployment-target iOS18 --single-package --tile 96 --depth-size 128 --extra-tile 128"
    out = tmp_path / "tiles.dofbundle"
    result = cli("export", *options.split(), "--weights", str(weights), "--out", str(out), "--json")
    assert result.exit_code == 0, result.output
    rows = {row["scope"]: row for row in json.loads(result.stdout)["parity"]["results"]}
    # Tiles of another size stitch to the same picture, so the same golden rendering judges them.
    assert rows["pipeline, tiles of 128"]["verdict"] == "PASS"
    assert rows["pipeline, tiles of 128"]["metrics"]["max_abs"] <= 1e-4
    readme = (out / "README.md").read_text()
    assert "function `guided_upsampling_128`" in readme

"""`dofkit lint` and `dofkit devices` as people and CI jobs call them, on an exported bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dofkit.commands.lint import command
from dofkit.devices.profile import names
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.target import Target

from ..devices.lint.small_files import onnx_file
from ..runtime_ref.bundle.small_bundle import model, write_bundle


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def bundle_of(folder: Path, *nodes: tuple) -> Path:
    """A bundle of one small ONNX file."""
    content = onnx_file(folder / "a.onnx", nodes).read_bytes()
    return write_bundle(folder / "b.dofbundle", [model("depth", content=content)], []).root


def test_findings_are_printed_with_node_and_remedy_and_warnings_do_not_fail(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, ("Transpose", ["image"], "result", {"perm": [0, 2, 3, 1]}))
    result = run(bundle, "--profile", "pixel-9")
    assert result.exit_code == 0
    assert "layout-change: ONNX fp32 depth on CPU, NNAPI, 1×" in result.stdout
    assert "(node result)" in result.stdout
    assert "→ keep one order of axes" in result.stdout
    assert run(bundle, "--profile", "pixel-9", "--strict").exit_code == 1
    (first, *_) = json.loads(run(bundle, "--profile", "pixel-9", "--json").stdout)["findings"]
    assert (first["rule"], first["target"], first["stage"], first["node"]) == (
        "layout-change",
        "onnx",
        "depth",
        "result",
    )


def test_a_clean_file_finds_nothing(tmp_path: Path) -> None:
    result = run(bundle_of(tmp_path, ("Relu", ["image"], "result", {})), "--profile", "pixel-9", "--strict")
    assert result.exit_code == 0
    assert "nothing found in 1 files" in result.stdout


def test_a_device_that_runs_no_file_of_the_bundle_is_refused(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, ("Relu", ["image"], "result", {}))
    with pytest.raises(DofkitError, match=r"no such file for iPhone 15 \(coreml\); it holds onnx fp32"):
        run(bundle, "--profile", "iphone-15")


@pytest.mark.e2e
@pytest.mark.parametrize(("profile", "target"), [("pixel-9", Target.TFLITE), ("iphone-15", Target.COREML)])
def test_an_exported_bundle_is_read_and_what_is_known_of_it_is_found(
    cli: Callable, bundle_path: Path, profile: str, target: Target
) -> None:
    arguments = ("--profile", profile, "--target", target.value, "--precision", "fp32", "--json")
    found = json.loads(cli("lint", str(bundle_path), *arguments).stdout)
    assert found["files"] == 3
    rules = {one["rule"] for one in found["findings"]}
    assert "fp16-accumulation" in rules, "the depth network has layers of more than a thousand terms"
    assert "fp16-overflow" not in rules


def test_devices_are_listed_and_shown(cli: Callable) -> None:
    assert list(json.loads(cli("devices", "list", "--json").stdout)) == list(names())
    text = cli("devices", "show", "pixel-9").stdout
    assert "Google Tensor G4" in text
    assert "support.google.com" in text
    assert "not known" in text
    assert "memory_gb" not in json.loads(cli("devices", "show", "iphone-15", "--json").stdout)

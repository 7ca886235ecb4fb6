"""`dofkit kit`: what is in a kit, that it works without this checkout, and what is never written over."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from dofkit.kits.platform import Platform
from dofkit.kits.writing import KitRequest, write_kit
from dofkit.runtime_ref.bundle import Bundle, Manifest
from dofkit.runtime_ref.target import Precision, Target

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same parser, as a package
    import tomli as tomllib


@pytest.mark.parametrize(
    ("platform", "target"),
    [(Platform.WEB, Target.ONNX), (Platform.ANDROID, Target.TFLITE), (Platform.IOS, Target.COREML)],
)
def test_a_kit_holds_the_sources_and_of_the_bundle_what_its_runtimes_open(
    platform: Platform, target: Target, bundle_path: Path, tmp_path: Path
) -> None:
    kit, places = tmp_path / "kit", platform.places
    write_kit(KitRequest(bundle_path, platform, kit, target, Precision.FP16))
    sources = {path.relative_to(platform.sources) for path in platform.sources.rglob("*") if path.is_file()}
    assert len(sources) > 10
    assert all((kit / path).read_bytes() == (platform.sources / path).read_bytes() for path in sources)
    whole = Bundle.open(bundle_path).manifest
    part = Manifest.model_validate_json((kit / places.models / "manifest.json").read_text())
    wanted = tuple(m for m in whole.models if m.target is target and m.precision is Precision.FP16)
    assert (part.models, part.plan, part.rules) == (wanted, whole.plan, whole.rules)
    for model in part.models:
        assert file_bytes(kit / places.models / model.path) == file_bytes(bundle_path / model.path)
    for case in (*whole.golden, *whole.steps):
        assert (kit / places.golden / case.path).read_bytes() == (bundle_path / case.path).read_bytes()


def test_a_web_kits_bundle_is_a_bundle_again(bundle_path: Path, tmp_path: Path) -> None:
    write_kit(KitRequest(bundle_path, Platform.WEB, tmp_path / "kit", precision=Precision.FP16))
    opened = Bundle.open(tmp_path / "kit" / "bundle")  # verifies every hash
    assert {model.target for model in opened.manifest.models} == {Target.ONNX, Target.TFLITE}


def file_bytes(path: Path) -> dict[str, bytes]:
    """Of a file, or of all in a folder."""
    files = [path] if path.is_file() else [one for one in sorted(path.rglob("*")) if one.is_file()]
    return {str(one.relative_to(path)): one.read_bytes() for one in files}


def test_an_installation_brings_every_source_of_the_kits() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["dofkit.kits"]
    folder = Path(__file__).parents[2] / "kits"
    brought = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    there = {path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert there == brought


def test_the_command_says_what_it_wrote_and_what_comes_next(cli, bundle_path: Path, tmp_path: Path) -> None:
    arguments = ("kit", str(bundle_path), "--platform", "web", "--out", str(tmp_path / "kit"))
    said = json.loads(cli(*arguments, "--precision", "fp16", "--json").stdout)
    assert said["files"] == sum(path.is_file() for path in (tmp_path / "kit").rglob("*")) - 1  # its own mark
    assert all(".fp16." in model for model in said["models"])
    shown = cli(*arguments)  # unchanged: replaced
    assert shown.exit_code == 0
    assert "npm install" in shown.stdout


def test_a_folder_that_is_no_kit_and_a_kit_that_was_changed_stay_as_they_are(
    cli, bundle_path: Path, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "kit.json").write_text("{}")
    arguments = ("kit", str(bundle_path), "--platform", "web", "--out")
    refused = cli(*arguments, str(foreign))
    assert (refused.exit_code, [path.name for path in foreign.iterdir()]) == (2, ["kit.json"])
    assert "exists and is not a kit" in refused.stderr
    kit = tmp_path / "kit"
    assert cli(*arguments, str(kit)).exit_code == 0
    (kit / "node_modules").mkdir()
    (kit / "node_modules" / "of-npm.js").touch()
    assert cli(*arguments, str(kit)).exit_code == 0  # what npm left is nobody's work
    (kit / "page.js").write_text("// mine")
    refused = cli(*arguments, str(kit))
    assert refused.exit_code == 2
    assert "was changed since it was written (page.js)" in refused.stderr
    assert (kit / "page.js").read_text() == "// mine"


def test_a_bundle_without_files_for_the_platform_is_refused_with_the_way_out(
    cli, bundle_path: Path, tmp_path: Path
) -> None:
    refused = cli(
        "kit", str(bundle_path), "--platform", "web", "--target", "coreml", "--out", str(tmp_path / "kit")
    )  # fmt: skip
    assert refused.exit_code == 2
    assert (
        "has no complete set of models for the web; export it with --target onnx or --target tflite" in refused.stderr
    )
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_kit_leaves_nothing(bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dofkit.kits import writing

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "place_models", stopped)
    with pytest.raises(KeyboardInterrupt):
        writing.write_kit(writing.KitRequest(bundle_path, Platform.WEB, tmp_path / "kit"))
    assert list(tmp_path.iterdir()) == []

"""`dofkit kit`: what is in a kit, that it works without this checkout, and what is never written over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dofkit.kits.platform import Platform
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.target import Target


@pytest.fixture(scope="module")
def kit(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from dofkit.kits.writing import KitRequest, write_kit

    folder = tmp_path_factory.mktemp("kits") / "web"
    write_kit(KitRequest(bundle_path, Platform.WEB, folder, Target.ONNX))
    return folder


def test_a_kit_holds_the_sources_and_of_the_bundle_what_its_runtimes_open(kit: Path, bundle_path: Path) -> None:
    sources = {path.relative_to(Platform.WEB.sources) for path in Platform.WEB.sources.rglob("*") if path.is_file()}
    assert all((kit / path).read_bytes() == (Platform.WEB.sources / path).read_bytes() for path in sources)
    whole, part = Bundle.open(bundle_path), Bundle.open(kit / "bundle")  # verifies every hash
    assert {model.target for model in part.manifest.models} == {Target.ONNX}
    assert part.manifest.models == tuple(m for m in whole.manifest.models if m.target is Target.ONNX)
    assert part.manifest.plan == whole.manifest.plan
    assert part.manifest.golden == whole.manifest.golden


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

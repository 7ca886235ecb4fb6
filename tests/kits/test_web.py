"""The web kit's own test passes in Node on a bundle, and fails where a step is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dofkit.devices.browser import installation
from dofkit.kits.platform import Platform
from dofkit.kits.site import RUNTIMES, SiteRequest, fill_site
from dofkit.kits.writing import KitRequest, write_kit
from dofkit.runtime_ref.cache import cache_folder
from dofkit.runtime_ref.target import Precision, Target

from .previewed import with_previews, write_squaring
from .toolchains import not_run, tool

USERS = cache_folder()  # where the user's installation lies; tests have a cache of their own


@pytest.fixture(scope="module")
def kit(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kits") / "web"
    write_kit(KitRequest(bundle_path, Platform.WEB, folder, Target.ONNX, Precision.FP32))
    return folder


def replayed(kit: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The kit's own test."""
    node = tool("node", "nodejs")
    return subprocess.run([node, "--test", *arguments], cwd=kit, capture_output=True, text=True, check=False)


def changed(kit: Path, tmp_path: Path, name: str, change: Callable[[str], str]) -> Path:
    """A copy of the kit with one source changed."""
    copy = tmp_path / "changed"
    shutil.copytree(kit, copy)
    path = copy / "portrait" / name
    text = path.read_text()
    path.write_text(change(text))
    assert path.read_text() != text
    return copy


def test_the_kits_steps_are_the_bundles_and_a_wrong_one_is_named(kit: Path, tmp_path: Path) -> None:
    strip = ("--test-name-pattern=^strip", "test/steps.test.js")
    done = replayed(kit, *strip)
    assert done.returncode == 0, done.stdout
    assert "# pass 1" in done.stdout
    wrong = changed(kit, tmp_path, "rules.js", lambda text: text.replace("rules.thin_share", "2 * rules.thin_share"))
    done = replayed(wrong, *strip)
    assert done.returncode == 1
    assert "step 9, disparity_" in done.stdout


def test_the_kit_asks_for_the_runtimes_that_the_browser_device_is_tested_with() -> None:
    asked = json.loads((Platform.WEB.sources / "package.json").read_text())["dependencies"]
    assert asked == {name: installation.package_version(name) for name in asked}


def test_how_a_photo_lies_in_the_preview_graph_is_replayed_without_a_runtime(kit: Path) -> None:
    done = replayed(kit, "test/preview.test.js")
    assert done.returncode == 0, done.stdout
    assert "# pass 11" in done.stdout


def test_kit_and_demo_take_previews_along_and_the_demo_none_that_it_does_not_compute(
    bundle_path: Path, tmp_path: Path
) -> None:
    bundle, site, packages = (tmp_path / name for name in ("some.dofbundle", "site", "packages"))
    shutil.copytree(bundle_path, bundle)
    with_previews(bundle, 64, 352)
    for name in RUNTIMES[Target.ONNX]:
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).touch()
    site.mkdir()
    fill_site(SiteRequest(bundle, packages, Target.ONNX), site)
    write_kit(KitRequest(bundle, Platform.WEB, tmp_path / "kit", Target.ONNX, Precision.FP32))
    done = replayed(tmp_path / "kit", "test/preview.test.js")
    assert done.returncode == 0, done.stdout
    assert "# pass 21" in done.stdout  # 11 by formulas, and what dofkit itself gives the graph of 10 step cases
    pipeline = {"depth", "lens_blur", "guided_upsampling"}
    for folder in (site, tmp_path / "kit"):
        models = json.loads((folder / "bundle" / "manifest.json").read_text())["models"]
        assert {model["stage"] for model in models} == pipeline | {"preview"}
        assert all((folder / "bundle" / model["path"]).is_file() for model in models)
    assert "bundle/models/onnx/preview.fp32.onnx" in json.loads((site / "files.json").read_text())


@pytest.mark.e2e
def test_the_kit_replays_the_golden_vectors_of_a_preview_graph(
    kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOFKIT_CACHE", str(USERS))
    if not installation.packages().is_dir():
        not_run("the npm packages are not installed", installation.COMMAND)
    whole, (height, width) = tmp_path / "kit", (64, 352)
    shutil.copytree(kit, whole)
    (whole / "node_modules").symlink_to(installation.packages())
    bundle = whole / "bundle"
    with_previews(bundle, height, width)
    write_squaring(bundle)
    image = np.arange(3 * height * width).astype(np.uint8).reshape(1, 3, height, width)
    stored = {
        "image": image,  # in 8 and 16 bits, as an export stores them
        "portrait": np.rint((image / 255.0) ** 2 * 65535).astype(np.uint16),
        **{name: np.full((1, 1, 1, 1), 0.5, np.float32) for name in ("focus", "aperture")},
    }
    cases = [bundle / case["path"] for case in json.loads((bundle / "manifest.json").read_text())["golden"]]
    for path in cases:
        tensors = load_file(path)
        vectors = {**stored, "disparity": tensors["depth.disparity"]}
        save_file({**tensors, **{f"preview.{name}": values for name, values in vectors.items()}}, path)
    networks = ("--test-name-pattern=every network", "test/golden.test.js")
    done = replayed(whole, *networks)
    assert done.returncode == 0, done.stdout
    assert "# pass 2" in done.stdout
    save_file({**load_file(cases[0]), "preview.portrait": stored["portrait"] // 2}, cases[0])
    assert "preview.portrait: " in replayed(whole, *networks).stdout


@pytest.mark.e2e
def test_the_kits_whole_test_passes_with_a_runtime(kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOFKIT_CACHE", str(USERS))
    if not installation.packages().is_dir():
        not_run("the npm packages are not installed", installation.COMMAND)
    whole = tmp_path / "kit"
    shutil.copytree(kit, whole)
    (whole / "node_modules").symlink_to(installation.packages())
    done = replayed(whole, *sorted(str(path) for path in (whole / "test").glob("*.js")))
    assert done.returncode == 0, done.stdout
    assert "# pass 32" in done.stdout  # 10 step cases, 3 tests for each of 2 golden cases, 5 of WebGPU, 11 of previews

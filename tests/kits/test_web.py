"""The web kit's own test passes in Node on a bundle, and fails where a step is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dofkit.devices.browser import installation
from dofkit.kits.platform import Platform
from dofkit.kits.writing import KitRequest, write_kit
from dofkit.runtime_ref.cache import cache_folder
from dofkit.runtime_ref.target import Precision, Target

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
    assert "# pass 18" in done.stdout  # seven step cases, three tests for each of two golden cases, five of WebGPU

"""The web kit computes what the package computes: each step of the host, and in Node whole golden cases."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dofkit.devices.browser import installation
from dofkit.kits.platform import Platform
from dofkit.kits.writing import KitRequest, write_kit
from dofkit.runtime_ref.cache import cache_folder
from dofkit.runtime_ref.pipeline import optics, pyramid, subject
from dofkit.runtime_ref.target import Precision, Target

from .host_steps import CASES, HostCase, write_steps

NODE = shutil.which("node")
USERS = cache_folder()  # where the user's installation lies; tests have a cache of their own
NOT_COMPARED = {"photo", "map"}  # given, not computed

needs_node = pytest.mark.skipif(NODE is None, reason="NOT RUN: Node is not installed; run: apt-get install nodejs")


def _node(*arguments: str | Path, cwd: Path | None = None) -> str:
    assert NODE is not None
    done = subprocess.run([NODE, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_node
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_step_of_the_host_is_that_of_the_package(case: HostCase, tmp_path: Path) -> None:
    numbers = write_steps(case, tmp_path / "steps.safetensors")
    said = _node(
        Path(__file__).with_name("steps.js"), Platform.WEB.sources, tmp_path / "steps.safetensors", json.dumps(numbers)
    )
    far: dict[str, float] = json.loads(said)
    levels = pyramid.Pyramid.of(*case.photo).levels
    assert {"depth_input", "auto_focus", "tap_focus", "held", "blurred"} <= set(far)
    assert sum(name.startswith("image") for name in far) == levels
    assert sum(name.startswith("upsampled") for name in far) >= levels - 1  # a weak blur has one less
    assert max(far.values()) < 1e-5, far


def test_the_rules_constants_are_the_package_s() -> None:
    rules, focus = ((Platform.WEB.sources / "portrait" / name).read_text() for name in ("rules.js", "focus.js"))
    written = dict(re.findall(r"^  (\w+): ([\d.]+),", rules + focus, re.MULTILINE))
    assert {name: float(value) for name, value in written.items()} == {
        "lowestLongSide": pyramid.LOWEST_LONG_SIDE,
        "longSidePerRadius": optics.LONG_SIDE_PER_RADIUS,
        "networkRadius": optics.NETWORK_RADIUS,
        "thin": pyramid.THIN,
        "window": subject.FOCUS_WINDOW,
        "alike": subject.ALIKE,
        "bins": subject.BINS,
        "reach": (subject.WINDOW - 1) / 2,
        "centre": subject.CENTRE,
        "finest": subject.FINEST,
    }


def test_the_kit_asks_for_the_runtimes_that_the_browser_device_is_tested_with() -> None:
    asked = json.loads((Platform.WEB.sources / "package.json").read_text())["dependencies"]
    assert asked == {name: installation.package_version(name) for name in asked}


@needs_node
@pytest.mark.e2e
def test_the_kits_own_test_passes_on_a_bundle(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOFKIT_CACHE", str(USERS))
    if not installation.packages().is_dir():
        pytest.skip(f"NOT RUN: the npm packages are not installed; run: {installation.COMMAND}")
    kit = tmp_path / "kit"
    write_kit(KitRequest(bundle_path, Platform.WEB, kit, Target.ONNX, Precision.FP32))
    (kit / "node_modules").symlink_to(installation.packages())
    said = _node("--test", "test/", cwd=kit)
    assert "# fail 0" in said
    assert "# pass 6" in said  # three tests for each of two golden cases
    # It can fail: a kit whose levels are the means of encoded values does.
    rules = kit / "portrait" / "rules.js"
    rules.write_text(rules.read_text().replace("Math.sqrt((a * a + b * b + c * c + d * d) * quarter)", "(a + b) / 510"))
    assert NODE is not None
    done = subprocess.run([NODE, "--test", "test/"], cwd=kit, capture_output=True, text=True, check=False)
    assert done.returncode == 1

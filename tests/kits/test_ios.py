"""The iOS kit's pipeline, compiled for this machine, gives what the step cases of a bundle hold."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dofkit.kits.platform import Platform
from dofkit.kits.writing import KitRequest, write_kit
from dofkit.runtime_ref.target import Precision, Target

from .previewed import with_previews


@pytest.mark.e2e
def test_the_swift_pipeline_replays_every_step(bundle_path: Path, tmp_path: Path) -> None:
    swift = shutil.which("swiftc")
    if swift is None:
        pytest.skip("NOT RUN: Swift is not installed; run on Debian 13: apt-get install swiftlang")
    kit, library = tmp_path / "kit", tmp_path / "libPortraitKit.so"
    bundle = tmp_path / "some.dofbundle"
    shutil.copytree(bundle_path, bundle)
    with_previews(bundle, 96, 352, Target.COREML)
    write_kit(KitRequest(bundle, Platform.IOS, kit, Target.COREML, Precision.FP32))
    sources = sorted((kit / "Sources" / "PortraitKit").glob("*.swift"))
    module = ["-module-name", "PortraitKit", "-parse-as-library", "-emit-module", "-emit-library"]
    made = ["-o", library, "-emit-module-path", tmp_path / "PortraitKit.swiftmodule"]
    subprocess.run([swift, "-O", *module, *made, *sources], check=True)
    linked = ["-I", tmp_path, "-L", tmp_path, "-lPortraitKit", "-Xlinker", "-rpath", "-Xlinker", tmp_path]
    program = tmp_path / "steps"
    subprocess.run([swift, "-O", kit / "Sources/StepCases/main.swift", *linked, "-o", program], check=True)
    places = [kit / Platform.IOS.places.models, kit / Platform.IOS.places.golden]
    done = subprocess.run([program, *places], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(": ok\n") == 10

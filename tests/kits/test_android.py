"""The Android kit's pipeline, compiled for the JVM, gives what the step cases of a bundle hold, and fails where not."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from dofkit.kits.platform import Platform
from dofkit.kits.writing import KitRequest, write_kit
from dofkit.runtime_ref.target import Precision

from .toolchains import kotlinc, tool

PIPELINE = Path("portrait/src/main/kotlin/dofkit/portrait")
CASES = Path("portrait/src/test/kotlin/dofkit/portrait/StepCases.kt")


@pytest.mark.e2e
def test_the_kotlin_pipeline_replays_every_step_and_names_a_wrong_one(bundle_path: Path, tmp_path: Path) -> None:
    compiler, java = kotlinc(), tool("java", "openjdk-17-jdk-headless")
    kit, jar = tmp_path / "kit", tmp_path / "steps.jar"
    write_kit(KitRequest(bundle_path, Platform.ANDROID, kit, precision=Precision.FP32))
    sources = [*sorted((kit / PIPELINE).glob("*.kt")), kit / CASES]  # the layers below need an Android SDK
    options = ["-Werror", "-include-runtime", "-d", jar]
    done = subprocess.run([*compiler, *sources, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    places = [kit / Platform.ANDROID.places.models, kit / Platform.ANDROID.places.golden]
    command = [java, "-cp", jar, "dofkit.portrait.StepCasesKt", *places]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": ok\n") == 7
    # The rules are read from the manifest: another one there, and the step that has it differs.
    manifest = places[0] / "manifest.json"
    document = json.loads(manifest.read_text())
    document["rules"]["thin_tie"] = 0.5
    manifest.write_text(json.dumps(document))
    done = subprocess.run([*command, "strip"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "strip: step 9, disparity_blur" in done.stdout
    shutil.rmtree(kit)  # some 50 MB

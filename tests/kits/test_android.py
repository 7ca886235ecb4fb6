"""The Android kit's pipeline, compiled for the JVM, gives what the step cases of a bundle hold, and fails where not."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dofkit.kits.platform import Platform
from dofkit.kits.writing import KitRequest, write_kit
from dofkit.runtime_ref.target import Precision, Target

from .previewed import with_previews
from .toolchains import kotlinc, tool

PIPELINE = Path("portrait/src/main/kotlin/dofkit/portrait")
CASES = Path("portrait/src/test/kotlin/dofkit/portrait")


@pytest.mark.e2e
def test_the_kotlin_pipeline_replays_every_step_and_names_a_wrong_one(bundle_path: Path, tmp_path: Path) -> None:
    compiler, java = kotlinc(), tool("java", "openjdk-17-jdk-headless")
    kit, jar = tmp_path / "kit", tmp_path / "steps.jar"
    bundle = tmp_path / "some.dofbundle"
    shutil.copytree(bundle_path, bundle)
    with_previews(bundle, 96, 352, Target.TFLITE)
    write_kit(KitRequest(bundle, Platform.ANDROID, kit, precision=Precision.FP32))
    shutil.rmtree(bundle)
    # The layers below, and JUnit's entry, need an Android SDK.
    sources = [*sorted((kit / PIPELINE).glob("*.kt")), kit / CASES / "StepCases.kt", kit / CASES / "PreviewCase.kt"]
    options = ["-Werror", "-include-runtime", "-d", jar]
    done = subprocess.run([*compiler, *sources, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    places = [kit / Platform.ANDROID.places.models, kit / Platform.ANDROID.places.golden]
    command = [java, "-cp", jar, "dofkit.portrait.StepCasesKt", *places]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": ok\n") == 10
    # What a preview graph is given is replayed, too.
    recorded = places[1] / "golden" / "previews" / "flat.safetensors"
    tensors = load_file(recorded)
    save_file({**tensors, "disparity": tensors["disparity"] + np.uint16(9)}, recorded)
    done = subprocess.run([*command, "flat"], capture_output=True, text=True, check=False)
    assert "flat: preview: disparity is 9.0 off" in done.stdout
    # The rules are read from the manifest: another one there, and the step that has it differs.
    manifest = places[0] / "manifest.json"
    document = json.loads(manifest.read_text())
    document["rules"]["thin_tie"] = 0.5
    manifest.write_text(json.dumps(document))
    done = subprocess.run([*command, "strip"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "strip: step 9, disparity_blur" in done.stdout
    shutil.rmtree(kit)  # some 50 MB

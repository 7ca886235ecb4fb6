"""What 16-bit floats do on ARM stands beside the rules that warn of them: measured, or NOT RUN with the remedy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dofkit.commands.lint import command
from dofkit.devices.arm64 import installation
from dofkit.devices.lint import arm_measurement
from dofkit.devices.lint.arm_measurement import measured
from dofkit.runtime_ref.backends import default_backend
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.target import Target

from ...runtime_ref.backends.there import fake_runtime
from ...runtime_ref.bundle.small_bundle import model, write_bundle
from .small_files import Tflite


def bundle_of(folder: Path) -> Bundle:
    """One TFLite convolution of 512 × 9 terms, which the rule of long sums warns of."""
    made = Tflite((1, 8, 8, 512)).add("CONV_2D", (1, 8, 8, 4), np.ones((4, 3, 3, 512), np.float32))
    content = made.write(folder / "a.tflite").read_bytes()
    return write_bundle(folder / "b.dofbundle", [model("lens_blur", "tflite", content=content)], [])


def lint(bundle: Bundle, *more: str) -> str:
    arguments = [str(bundle.root), "--profile", "pixel-9", "--no-ranges", "--no-engines", *more]
    return CliRunner().invoke(command, arguments, catch_exceptions=False).stdout


def test_a_warning_of_long_sums_says_how_to_measure_them(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path)
    text = lint(bundle)
    assert "fp16-accumulation" in text
    assert "ARM in fp16: NOT RUN (not asked; --measure" in text
    (one,) = json.loads(lint(bundle, "--json"))["measurements"]
    assert (one["verdict"], one["stage"], one["psnr"]) == ("NOT RUN", "lens_blur", None)


def test_without_the_emulator_its_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOFKIT_CACHE", str(tmp_path / "nothing"))
    assert installation.COMMAND in lint(bundle_of(tmp_path), "--measure")


def test_a_file_that_no_runtime_for_arm_computes_says_so(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b.dofbundle", [model("lens_blur", "onnx")], [])
    found = measured(bundle, bundle.models()[0])
    assert "no runtime for ARM computes ONNX fp32 in fp16" in str(found)


def test_what_was_measured_is_the_distance_to_the_golden_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runtime(tmp_path, monkeypatch, run="return [numpy.full((1, 3, 8, 8), 0.25, numpy.float32)]")
    monkeypatch.setattr(arm_measurement, "backend", lambda _: default_backend(Target.ONNX))
    bundle = write_bundle(tmp_path / "b.dofbundle", [model("lens_blur", "onnx", "fp16")], [])
    found = measured(bundle, bundle.models()[0])
    assert found.psnr == pytest.approx(20 * np.log10(4)), "of zeros, whose greatest value is taken as 1"
    assert found.max_abs == 0.25
    assert "12.0 dB, at most 0.25 off (ONNX Runtime 0)" in str(found)

"""`export`, `check`, `inspect`, `bench` and `doctor` as users and CI jobs call them."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dofkit.devices.registry import device
from dofkit.runtime_ref.backends import BACKENDS
from dofkit.runtime_ref.backends.own_process import OwnProcess
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.errors import MissingExtraError
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from dofkit.runtime_ref.target import Precision

from ..bundled import BUNDLED


@pytest.mark.e2e
def test_check_passes_what_runs_here(cli: Callable, bundle_path: Path) -> None:
    result = cli("check", str(bundle_path), "--target", "onnx", "--target", "tflite")
    assert result.exit_code == 0, result.output
    assert "PASS" in result.stdout


def test_check_exits_with_3_when_something_could_not_run(
    cli: Callable, bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise MissingExtraError("running it needs a package; run: pip install 'dofkit[onnx]'")

    monkeypatch.setattr(OwnProcess, "open", missing)
    result = cli("check", str(bundle_path), "--target", "onnx")
    assert result.exit_code == 3
    assert "pip install" in result.stdout
    assert cli("check", str(bundle_path), "--target", "onnx", "--allow-not-run").exit_code == 0


@pytest.mark.e2e
def test_check_passes_core_ml_packages_off_macos_and_says_what_computed_them(cli: Callable, bundle_path: Path) -> None:
    result = cli("check", str(bundle_path), "--target", "coreml", "--precision", "fp32")
    assert result.exit_code == 0
    assert "reference evaluation" in result.stdout


def test_check_refuses_a_flipped_byte_with_the_files_name(cli: Callable, bundle_path: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle_path, tmp_path / "copy.dofbundle")
    model = next(copy.rglob("lens_blur.fp32.onnx"))
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    result = cli("check", str(copy))
    assert result.exit_code == 2
    assert "models/onnx/lens_blur.fp32.onnx" in result.stderr
    assert result.stderr.count("\n") == 1


def test_check_writes_json_and_nothing_else(cli: Callable, bundle_path: Path) -> None:
    report = json.loads(cli("check", str(bundle_path), "--target", "onnx", "--precision", "fp32", "--json").stdout)
    assert report["verdict"] == "PASS"
    scopes = {row["scope"] for row in report["results"]}
    assert scopes == {"steps", *(stage.value for stage in PIPELINE_STAGES), "pipeline"}


@pytest.mark.e2e
def test_check_needs_no_pytorch(bundle_path: Path) -> None:
    program = (
        "import sys\nfrom dofkit.cli import main\n"
        "try: main(['check', sys.argv[1], '--target', 'onnx', '--precision', 'fp32'])\n"
        "except SystemExit as done: code = done.code\n"
        "sys.exit(code or ('torch' in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(bundle_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_inspect_shows_models_and_plan(cli: Callable, bundle_path: Path) -> None:
    text = cli("inspect", str(bundle_path)).stdout
    for word in ("guided_upsampling", "Core ML", "iOS 17", "halo", "astronaut", "litert-torch"):
        assert word in text
    manifest = json.loads(cli("inspect", str(bundle_path), "--json").stdout)
    assert manifest["schema_version"] == 4


@pytest.mark.e2e
def test_bench_measures_every_runtime_in_its_own_process(cli: Callable, bundle_path: Path, weights: Path) -> None:
    options = ["--precision", "fp32", "--pytorch", "--weights", str(weights)]
    options += ["--threads", "1", "--runs", "5", "--seconds", "1", "--photo", "160", "--no-preview", "--json"]
    result = cli("bench", str(bundle_path), *options)
    assert result.exit_code == 0, result.stderr
    rows = json.loads(result.stdout)["results"]
    assert [row["title"] for row in rows] == ["TFLite (LiteRT) fp32", "ONNX fp32", "PyTorch fp32"]
    for row in rows:
        assert row["error"] == ""
        assert {figures["stage"] for figures in row["stages"]} == {stage.value for stage in PIPELINE_STAGES}
        assert all(0 < figures["p50"] <= figures["p90"] for figures in row["stages"])
        assert row["photo"]["width"] == 160
        assert row["preview"] is None
        assert all(figures["parity"]["psnr"] > 60 for figures in row["stages"])
        assert 0 < row["photo"]["p50"] <= row["photo"]["p90"]
        assert row["peak_mb"] > 20


def test_doctor_says_what_works(cli: Callable) -> None:
    findings = json.loads(cli("doctor", "--json").stdout)["findings"]
    works = {finding["ability"]: finding["works"] for finding in findings}
    assert works["inspect bundles"]
    assert works["export to ONNX"]
    assert "ability" in cli("doctor").stdout


def test_doctor_lists_every_backend_with_what_it_opens_and_what_it_lacks(cli: Callable) -> None:
    found = {one["id"]: one for one in json.loads(cli("doctor", "--json").stdout)["backends"]}
    elsewhere = [one.facts.id for name in ("arm64", "browser") for one in device(name).backends]
    assert list(found) == [*(one.facts.id for one in BACKENDS), "pytorch", *elsewhere]
    assert found["onnx-arm64"]["remedy"].endswith("run: dofkit doctor --install arm64")  # tests' cache is empty
    assert found["onnxruntime"]["available"]
    assert found["onnxruntime"]["version"] == importlib.metadata.version("onnxruntime")
    assert found["litert-fp16"]["arithmetic"] == "fp16"
    assert found["coreml-gpu"]["opens"] == ["coreml"]
    assert found["coreml-gpu"]["available"] == (sys.platform == "darwin")
    assert "mesa" in found["litert-gpu-fp32"]["remedy"]
    assert all(one["available"] or one["remedy"] for one in found.values())
    text = cli("doctor").stdout
    assert all(id in text for id in found)


def test_a_missing_extra_is_one_line_that_names_the_pip_command(
    cli: Callable, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    hidden = {"litert_torch"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in hidden else find(name, *a))
    result = cli("export", "--target", "tflite", "--weights", str(weights), "--out", str(tmp_path / "x.dofbundle"))
    assert result.exit_code == 2
    assert "pip install 'dofkit[tflite]'" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_bench_refuses_weights_that_nothing_would_be_computed_with(cli: Callable, tmp_path: Path) -> None:
    result = cli("bench", str(tmp_path), "--weights", str(tmp_path))
    assert result.exit_code == 2
    assert "--weights says nothing without --pytorch" in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--weights", "nowhere"], "no weights for depth"),
        (["--tile", "32"], "no core inside a halo"),
        (["--tile", "99"], "multiples of 2"),
        (
            ["--target", "tflite", "--tile", "100"],
            "--tile 100: lens_blur for TFLite (LiteRT): 100 is no multiple of 8; take 96",
        ),
        (["--depth-size", "200"], "multiple of 32"),
        (["--out", "nowhere/x.dofbundle"], "does not exist"),
        (["--calibration", "."], "measures ranges that no precision here needs"),
    ],
)
def test_export_refuses_bad_input_in_one_line(
    cli: Callable, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("export", "--target", "onnx", "--weights", str(weights), *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.e2e
def test_the_same_export_gives_the_same_bytes(cli: Callable, weights: Path, tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        out = tmp_path / name / "same.dofbundle"
        out.parent.mkdir()
        arguments = ["export", "--stage", "guided_upsampling", "--tile", "96", "--depth-size", "128"]
        arguments += ["--target", "tflite", "--target", "onnx"]  # Core ML and Core AI have tests of their own
        arguments += ["--weights", str(weights), "--out", str(out)]
        if name == "a":
            assert cli(*arguments).exit_code == 0
        else:  # another process, with another seed of Python's hashes
            subprocess.run([sys.executable, "-m", "dofkit", *arguments], check=True, capture_output=True, cwd=tmp_path)
        digests.append(Bundle.open(out).manifest.files)
    assert digests[0] == digests[1]


@pytest.mark.e2e
def test_kill_9_during_export_leaves_no_bundle(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.dofbundle"
    command = [sys.executable, "-m", "dofkit", "export", "--target", "onnx", "--tile", "96", "--depth-size", "128"]
    process = subprocess.Popen([*command, "--weights", str(weights), "--out", str(out)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".x.dofbundle.partial-*/models/onnx/*.onnx")):
        assert process.poll() is None, "the export ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert not any(path.suffix == ".dofbundle" for path in tmp_path.iterdir() if not path.name.startswith("."))


@pytest.mark.e2e
def test_one_stage_alone_can_be_exported(cli: Callable, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.dofbundle"
    arguments = ["export", "--target", "onnx", "--stage", "lens_blur", "--tile", "96", "--depth-size", "128", "--json"]
    result = cli(*arguments, "--weights", str(weights), "--out", str(out))
    assert result.exit_code == 0, result.output
    assert [row["scope"] for row in json.loads(result.stdout)["parity"]["results"]] == ["steps", "lens_blur"]
    assert [model.stage for model in Bundle.open(out).manifest.models] == [Stage.LENS_BLUR]


def test_the_bundle_is_complete(bundle_path: Path) -> None:
    bundle = Bundle.open(bundle_path)
    precisions = (Precision.FP32, Precision.FP16)
    assert set(bundle.variants()) == {(target, precision) for target in BUNDLED for precision in precisions}
    for name in ("README.md", "report.html", "parity.json", "golden/0.safetensors", "golden/1.safetensors"):
        assert name in bundle.manifest.files
    page = (bundle_path / "report.html").read_text()
    assert page.count("data:image/png") >= 6
    assert "NOT RUN" in page
    readme = (bundle_path / "README.md").read_text()
    for model in bundle.manifest.models:
        assert model.path in readme

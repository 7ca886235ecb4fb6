"""`dofkit check` as a CI job uses it: on a team's photos, against other references, with reports and named causes."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from dofkit.commands.check import GRADES, _backends, command
from dofkit.export.onnx.convert import convert
from dofkit.export.stages import stage_graphs
from dofkit.runtime_ref.backends import BACKENDS
from dofkit.runtime_ref.bundle import MANIFEST, Bundle, describe_files
from dofkit.runtime_ref.parity.check import CheckOptions
from dofkit.runtime_ref.parity.grade import Grade
from dofkit.runtime_ref.parity.verdict import ParityReport, ParityResult, RowKey, Verdict, graded
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.session import load_networks

from ..breakage import KINDS, broken_network

ONNX = ("--target", "onnx", "--precision", "fp32")


@pytest.fixture
def photos(tmp_path: Path, photo: np.ndarray) -> Path:
    """A folder with one small photo."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(photo).save(folder / "mine.png")
    return folder


@pytest.mark.e2e
def test_a_teams_photos_are_compared_with_pytorch_and_reported_in_every_format(
    cli: Callable, bundle_path: Path, weights: Path, photos: Path, tmp_path: Path
) -> None:
    reports = {name: tmp_path / f"parity.{name}" for name in ("json", "junit", "markdown", "html")}
    options = [word for name, path in reports.items() for word in (f"--{name}", str(path))]
    result = cli("check", str(bundle_path), *ONNX, "--images", str(photos), "--weights", str(weights), *options)
    assert result.exit_code == 0, result.output
    assert json.loads(reports["json"].read_text())["verdict"] == "PASS"
    assert len(list(ET.parse(reports["junit"]).iter("testcase"))) == 1 + 4, "the steps, three stages, the pipeline"
    assert "PASS" in reports["markdown"].read_text()
    assert "mine" in reports["html"].read_text()


def test_photos_have_no_golden_vectors(cli: Callable, bundle_path: Path, photos: Path) -> None:
    result = cli("check", str(bundle_path), "--images", str(photos), "--against", "golden")
    assert result.exit_code == 2
    assert "take --against pytorch or another bundle" in result.stderr


def test_a_bundle_of_other_weights_is_not_compared_with_pytorch(cli: Callable, bundle_path: Path) -> None:
    result = cli("check", str(bundle_path), "--against", "pytorch")  # the shipped weights: not this bundle's
    assert result.exit_code == 2
    assert "exported from other weights" in result.stderr


@pytest.mark.e2e
def test_another_bundle_can_be_right(cli: Callable, bundle_path: Path, tmp_path: Path, photos: Path) -> None:
    other = shutil.copytree(bundle_path, tmp_path / "other.dofbundle")
    result = cli("check", str(bundle_path), *ONNX, "--against", str(other), "--images", str(photos), "--json")
    assert result.exit_code == 0, result.output
    # The other bundle's most exact files are these very files.
    rows = [row for row in json.loads(result.stdout)["results"] if row["scope"] != "steps"]
    assert all(row["metrics"]["max_abs"] == 0 for row in rows)


def test_one_backend_can_be_asked_for_by_its_name(cli: Callable, bundle_path: Path) -> None:
    result = cli("check", str(bundle_path), "--precision", "fp32", "--backend", "onnxruntime-unoptimised", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["results"]
    assert [row["scope"] for row in rows] == [f"{stage}, graph unoptimised" for stage in PIPELINE_STAGES]
    assert {(row["backend"], row["device"], row["target"]) for row in rows} == {
        ("onnxruntime-unoptimised", "cpu", "onnx")
    }


@pytest.mark.parametrize("command", ["check", "bench"])
def test_a_backend_that_does_not_exist_is_refused_with_the_nearest(
    cli: Callable, bundle_path: Path, command: str
) -> None:
    result = cli(command, str(bundle_path), "--backend", "litert-gpu")
    assert result.exit_code == 2
    assert "did you mean litert-gpu-fp" in result.stderr
    assert result.stderr.count("\n") == 1


def test_all_backends_are_those_for_the_targets_that_can_run_here_under_the_options_old_name_too() -> None:
    everywhere = [one.facts.id for one in BACKENDS if not one.facts.is_routine]
    chosen = _backends((), every=True)
    assert chosen is not None
    assert [one.facts.id for one in chosen if not one.facts.is_routine] == everywhere
    assert _backends((), every=False) is None
    alias = next(parameter for parameter in command.params if "--second-opinions" in parameter.opts)
    assert isinstance(alias, click.Option)
    assert alias.hidden
    assert alias.is_flag


def test_the_gates_grades_are_the_grades() -> None:
    assert tuple(grade.value for grade in Grade) == GRADES


def test_pictures_that_look_worse_than_was_asked_for_fail_the_job(
    cli: Callable, bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = RowKey.by_default("pipeline", Target.ONNX, Precision.W4)
    row = ParityResult(key, Verdict.PASS, {"psnr": 30.0, "ssim": 0.9})

    def compared(bundle: Bundle, variants: object, cases: object, options: CheckOptions, watch: object) -> ParityReport:
        del bundle, variants, cases, watch
        return ParityReport((graded(row, options.least_grade),))

    monkeypatch.setattr("dofkit.runtime_ref.parity.check.run_parity", compared)
    assert cli("check", str(bundle_path), "--least-grade", "visible").exit_code == 0
    result = cli("check", str(bundle_path), "--least-grade", "good")
    assert result.exit_code == 1
    assert "graded visible, at least good was asked for" in result.stdout


def test_a_plan_that_the_models_do_not_take_is_refused_before_a_reference_is_computed_by_it(
    cli: Callable, bundle_path: Path, tmp_path: Path, photos: Path
) -> None:
    root = shutil.copytree(bundle_path, tmp_path / "huge.dofbundle")
    manifest = Bundle.open(root).manifest
    spec = manifest.plan.lens_blur.model_copy(update={"tile": 10**9})
    plan = manifest.plan.model_copy(update={"lens_blur": spec})
    (root / MANIFEST).write_bytes(manifest.model_copy(update={"plan": plan}).sealed().encoded())
    result = cli("check", str(root), *ONNX, "--images", str(photos))
    assert result.exit_code == 2
    assert "the plan gives 1000000000×1000000000" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["parity.xml", "missing/parity.xml"])
def test_a_report_that_cannot_be_written_is_refused_before_the_work(
    cli: Callable, bundle_path: Path, tmp_path: Path, name: str
) -> None:
    goal = tmp_path / name
    if name == "parity.xml":
        goal.mkdir()
    result = cli("check", str(bundle_path), *ONNX, "--junit", str(goal))
    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.fixture(scope="module")
def broken(bundle_path: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A bundle of which a stage's fp32 file for ONNX was exported with a mistake, and sealed as if nothing were
    wrong."""

    def write(kind: str, stage: Stage = Stage.LENS_BLUR) -> Path:
        root = shutil.copytree(bundle_path, tmp_path_factory.mktemp("broken") / "b.dofbundle")
        bundle = Bundle.open(root)
        model = next(m for m in bundle.models(Target.ONNX, Precision.FP32) if m.stage is stage)
        graph = stage_graphs(load_networks(weights), bundle.manifest.plan, Target.ONNX)[stage]
        convert(replace(graph, network=broken_network(kind, stage, graph.network)), bundle.path(model.path))
        manifest = bundle.manifest.model_copy(update={"files": describe_files(root)}).sealed()
        (root / MANIFEST).write_bytes(manifest.encoded())
        return root

    return write


# One mistake in the values and one in the weights; the others are minutes more, and the diagnosis has tests of its own.
QUICK = ("swapped channels", "zeroed layer")


@pytest.mark.e2e
@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_a_broken_export_of_each_kind_fails_and_its_cause_is_named(
    cli: Callable, broken: Callable[..., Path], weights: Path, kind: str
) -> None:
    result = cli("check", str(broken(kind)), *ONNX, "--weights", str(weights), "--json")
    assert result.exit_code == 1
    rows = {row["scope"]: row for row in json.loads(result.stdout)["results"]}
    assert rows["lens_blur"]["verdict"] == "FAIL"
    assert rows["depth"]["verdict"] == "PASS", "a check does not stop at the first failure"
    assert KINDS[kind] in rows["lens_blur"]["causes"][0], rows["lens_blur"]["causes"]


@pytest.mark.e2e
def test_without_pytorch_an_fp32_file_of_another_target_helps_to_name_the_cause(
    cli: Callable, broken: Callable[..., Path]
) -> None:
    # No --weights, so PyTorch has none that fit: the bundle's TFLite file serves as the reference's layers.
    result = cli("check", str(broken("zeroed layer", Stage.DEPTH)), *ONNX)
    assert result.exit_code == 1
    assert "likely cause (ONNX fp32 depth): first difference at" in result.stdout


@pytest.mark.e2e
def test_without_pytorch_no_layer_is_accused_where_the_network_is_arranged_otherwise(
    cli: Callable, broken: Callable[..., Path]
) -> None:
    result = cli("check", str(broken("zeroed layer", Stage.GUIDED_UPSAMPLING)), *ONNX)
    assert result.exit_code == 1
    assert "guided_upsampling" in result.stdout
    assert "first difference" not in result.stdout

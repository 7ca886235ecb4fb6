"""`dofkit check` as a CI job uses it: on a team's photos, against other references, with reports and named causes."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.export.onnx.convert import convert
from dofkit.export.stages import stage_graphs
from dofkit.runtime_ref.bundle import MANIFEST, Bundle, describe_files
from dofkit.runtime_ref.pipeline.stage import Stage
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


def test_a_teams_photos_are_compared_with_pytorch_and_reported_in_every_format(
    cli: Callable, bundle_path: Path, weights: Path, photos: Path, tmp_path: Path
) -> None:
    reports = {name: tmp_path / f"parity.{name}" for name in ("json", "junit", "markdown", "html")}
    options = [word for name, path in reports.items() for word in (f"--{name}", str(path))]
    result = cli("check", str(bundle_path), *ONNX, "--images", str(photos), "--weights", str(weights), *options)
    assert result.exit_code == 0, result.output
    assert json.loads(reports["json"].read_text())["verdict"] == "PASS"
    assert len(list(ET.parse(reports["junit"]).iter("testcase"))) == 4
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


def test_another_bundle_can_be_right(cli: Callable, bundle_path: Path, tmp_path: Path, photos: Path) -> None:
    other = shutil.copytree(bundle_path, tmp_path / "other.dofbundle")
    result = cli("check", str(bundle_path), *ONNX, "--against", str(other), "--images", str(photos), "--json")
    assert result.exit_code == 0, result.output
    # The other bundle's most exact files are these very files.
    assert all(row["metrics"]["max_abs"] == 0 for row in json.loads(result.stdout)["results"])


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


def test_without_pytorch_an_fp32_file_of_another_target_helps_to_name_the_cause(
    cli: Callable, broken: Callable[..., Path]
) -> None:
    # No --weights, so PyTorch has none that fit: the bundle's TFLite file serves as the reference's layers.
    result = cli("check", str(broken("zeroed layer")), *ONNX)
    assert result.exit_code == 1
    assert "likely cause (ONNX fp32 lens_blur): first difference at" in result.stdout


def test_without_pytorch_no_layer_is_accused_where_the_network_is_arranged_otherwise(
    cli: Callable, broken: Callable[..., Path]
) -> None:
    result = cli("check", str(broken("zeroed layer", Stage.GUIDED_UPSAMPLING)), *ONNX)
    assert result.exit_code == 1
    assert "guided_upsampling" in result.stdout
    assert "first difference" not in result.stdout

"""`dofkit mil`: packages are run, shown and compared; what is wrong is one line that says how to mend it."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.runtime_ref.imageio import read_disparity
from dofkit.runtime_ref.mil import MLProgram, Package
from dofkit.runtime_ref.mil.program import BlobReference
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage

from ..packages import lookup
from .refusals import assert_one_line


@pytest.fixture
def package(bundle_path: Path) -> Callable[..., Path]:
    """The bundle's package of a stage and precision."""
    return lambda stage, precision="fp32": bundle_path / "models/coreml" / f"{stage}.{precision}.mlpackage"


def _change_weight(package: Path, copy: Path, name: str) -> Path:
    """A copy of a package whose weight `name` has another first value."""
    shutil.copytree(package, copy)
    opened = Package(copy)
    (operation,) = [op for op in opened.function().block.walk() if op.name == name]
    reference = operation.attributes["val"].value
    assert isinstance(reference, BlobReference)
    (file,) = copy.rglob("weight.bin")
    data = bytearray(file.read_bytes())
    start = struct.unpack_from("<IIQQQ", data, reference.offset)[3]
    struct.pack_into("<f", data, start, 2.5)
    file.write_bytes(data)
    return copy


def test_run_gives_what_the_class_gives(cli, package, photo_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["mil", "run", str(package("depth")), "--input", f"image={photo_file}", "--resize"]
    result = cli(*arguments, "--out", str(out), "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)["outputs"][0]
    disparity = np.load(out / "disparity.npy")
    assert facts["shape"] == list(disparity.shape) == [1, 1, 128, 128]
    for name, measure in (("min", np.min), ("max", np.max), ("mean", np.mean)):
        assert facts[name] == pytest.approx(float(measure(disparity)), rel=1e-5)
    assert sorted(Path(file).name for file in facts["files"]) == ["disparity.npy", "disparity.png"]
    np.testing.assert_allclose(read_disparity(out / "disparity.png"), disparity[0, 0], atol=1e-4)


def test_run_without_rounding_is_near_and_says_so(cli, package) -> None:
    arguments = ["mil", "run", str(package("lens_blur", "fp16")), "--random", "1", "--json"]
    typed, ideal = (json.loads(cli(*arguments, *more).stdout) for more in ([], ["--ideal"]))
    assert (typed["numerics"], ideal["numerics"]) == ("typed", "ideal")
    assert typed["outputs"][0]["mean"] != ideal["outputs"][0]["mean"]
    assert typed["outputs"][0]["mean"] == pytest.approx(ideal["outputs"][0]["mean"], rel=1e-2)


def test_run_names_the_operation_where_numbers_stop_being_finite(cli, package) -> None:
    path = str(package("lens_blur", "fp16"))
    result = cli("mil", "run", path, "--input", "image=1e6", "--input", "defocus=0")
    assert result.exit_code == 1
    assert "cast 'image_to_fp16'" in result.stdout
    result = cli("mil", "run", path, "--input", "image=1e6", "--input", "defocus=0", "--json")
    assert json.loads(result.stdout)["non_finite"][0]["operation"] == "cast"


def test_a_photo_of_another_size_is_refused_in_one_line(cli, package, photo_file: Path) -> None:
    result = cli("mil", "run", str(package("depth")), "--input", f"image={photo_file}")
    assert_one_line(result, "201×150", "128×128", "--resize")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], ["image: fp32 [1, 3, 96, 96]", "defocus", "--random"]),
        (["--random", "0", "--input", "photo=1"], ["photo", "image, defocus"]),
        (["--random", "0", "--input", "image=missing.jpg"], ["missing.jpg"]),
        (["--random", "0", "--function", "other"], ["other", "main"]),
        (["--random", "0", "--out", "sharp=a.png"], ["sharp", "blurred"]),
        (["--random", "0", "--out", "blurred=picture"], ["picture", ".npy"]),
    ],
)
def test_run_refuses_bad_input_in_one_line(cli, package, options: list[str], words: list[str]) -> None:
    assert_one_line(cli("mil", "run", str(package("lens_blur")), *options), *words)


def test_a_folder_that_is_no_package_is_one_line(cli, tmp_path: Path) -> None:
    for command in (["run"], ["show"], ["diff", "--pytorch", "depth"]):
        assert_one_line(cli("mil", *command, str(tmp_path)), "Manifest.json")


def test_one_output_is_written_to_a_file(cli, package, tmp_path: Path) -> None:
    goal = tmp_path / "blurred.jpg"
    result = cli("mil", "run", str(package("lens_blur")), "--random", "0", "--out", f"blurred={goal}")
    assert result.exit_code == 0, result.output
    assert Image.open(goal).size == (96, 96)


def test_show_tells_operations_weights_and_sizes(cli, package) -> None:
    path = package("lens_blur", "fp16")
    result = cli("mil", "show", str(path), "--json", "--weights", "--operations")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    program = MLProgram.open(path)
    assert facts["operations"] == program.operators
    assert len(facts["program"]) == sum(program.operators.values())
    assert facts["bytes"] == sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    (row,) = facts["storage"]
    assert (row["stored"], row["bytes"]) == ("fp16", 2 * row["parameters"])
    for weight in facts["weights"]:
        values = program.constant(weight["name"])
        assert (weight["min"], weight["max"]) == (float(values.min()), float(values.max()))
    shown = cli("mil", "show", str(path), "--weights", "--operations").stdout
    assert all(weight["name"] in shown for weight in facts["weights"])
    assert "iOS 17" in shown


def test_show_lists_an_operation_that_the_evaluator_does_not_know(cli, package, tmp_path: Path) -> None:
    copy = tmp_path / "unknown.mlpackage"
    shutil.copytree(package("lens_blur"), copy)
    opened = Package(copy)
    (function,) = opened.spec.mlProgram.functions.values()
    next(op for op in function.block_specializations["CoreML7"].operations if op.type == "sqrt").type = "frobnicate"
    opened.model_file.write_bytes(opened.spec.SerializeToString())
    result = cli("mil", "show", str(copy), "--weights", "--operations")
    assert result.exit_code == 0, result.output
    assert "not known to the evaluator" in result.stdout
    assert json.loads(cli("mil", "show", str(copy), "--json").stdout)["unknown_operations"] == ["frobnicate"]
    assert_one_line(cli("mil", "run", str(copy), "--random", "0"), "frobnicate")


def test_diff_of_a_package_and_itself_is_nothing_but_the_order_of_sums(cli, package) -> None:
    path = str(package("guided_upsampling"))
    result = cli("mil", "diff", path, path, "--tolerance", "1e-5")
    assert result.exit_code == 0, result.output


def test_diff_of_a_package_without_sums_and_itself_is_nothing(cli, tmp_path: Path) -> None:
    path = str(lookup(tmp_path / "table.mlpackage"))
    result = cli("mil", "diff", path, path)
    assert result.exit_code == 0, result.output
    assert "equal, bit for bit" in result.stdout


# Rounding to halves adds up to 2.6e-2 in a depth network with random weights; trained ones stay within the default.
HALF_TOLERANCE = ("--tolerance", "0.05")
# The lens blur's last step corrects a square root by a difference of nearly equal numbers: 0.23 of it, 1e-3 in all.
CANCELLATION = ("--tolerance", "0.3")


@pytest.fixture
def halves(tmp_path: Path) -> Callable[[Stage], list[str]]:
    """Options of a comparison in half precision.

    The lens blur gets two sheets. In noise it takes every pixel apart, and where their defocus hardly differs a
    rounding decides between them.
    """
    near = np.hypot(*np.mgrid[-48:48, -48:48]) < 30
    file = tmp_path / "defocus.npy"
    np.save(file, np.where(near, 0.25, -0.75).astype(np.float32)[None, None])
    sheets = ["--input", f"defocus={file}", *CANCELLATION]
    return lambda stage: sheets if stage is Stage.LENS_BLUR else [*HALF_TOLERANCE]


@pytest.mark.parametrize("stage", PIPELINE_STAGES)
def test_diff_of_fp32_and_fp16_is_rounding(cli, package, halves, stage: Stage) -> None:
    result = cli("mil", "diff", str(package(stage)), str(package(stage, "fp16")), *halves(stage), "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert {operation["type"] for operation in facts["only_b"]} == {"cast"}
    assert not facts["only_a"]
    assert facts["first"] is None
    assert not any(parameter["changed"] for parameter in facts["parameters"])


def test_diff_names_the_operation_whose_weight_was_changed(cli, package, tmp_path: Path) -> None:
    path = package("lens_blur")
    changed = _change_weight(path, tmp_path / "changed.mlpackage", "context_4_weight")
    result = cli("mil", "diff", str(path), str(changed), "--json")
    assert result.exit_code == 1
    facts = json.loads(result.stdout)
    (parameter,) = facts["parameters"]
    assert parameter["changed"]
    assert (parameter["operation"], parameter["parameter"]) == (facts["first"]["a"], "weight")
    assert facts["first"]["type"] == "conv"
    shown = cli("mil", "diff", str(path), str(changed)).stdout
    assert f"first part at conv {facts['first']['a']}" in shown
    assert f"{facts['first']['max_abs']:.2e}" in shown
    assert f"{parameter['max_abs']:.2e}" in shown


@pytest.mark.parametrize("stage", PIPELINE_STAGES)
@pytest.mark.parametrize("precision", ["fp32", pytest.param("fp16", marks=pytest.mark.e2e)])
def test_a_package_agrees_with_the_network_it_was_exported_from(
    cli, package, halves, weights: Path, stage: Stage, precision: str
) -> None:
    arguments = ["mil", "diff", str(package(stage, precision)), "--pytorch", stage.value, "--weights", str(weights)]
    result = cli(*arguments, *(halves(stage) if precision == "fp16" else ()), "--json")
    assert result.exit_code == 0, result.output
    findings = {layer["finding"] for layer in json.loads(result.stdout)["layers"]}
    assert findings == ({"agrees", "fused"} if stage is Stage.DEPTH else {"agrees"})


@pytest.mark.parametrize(
    ("stage", "parameter", "first"),
    [
        (Stage.LENS_BLUR, "context.4.weight", "context.4"),
        (Stage.GUIDED_UPSAMPLING, "shares.bias", "shares"),
        # Its convolution is fused with the BatchNorm after it.
        pytest.param(
            Stage.DEPTH, "encoder._blocks.4._depthwise_conv.weight", "encoder._blocks.4._bn1", marks=pytest.mark.e2e
        ),
    ],
)
def test_a_package_parts_from_pytorch_at_the_layer_whose_weight_was_changed(
    cli, package, weights: Path, tmp_path: Path, stage: Stage, parameter: str, first: str
) -> None:
    from dofkit.train.weights import load_weights, save_weights

    network = load_weights(stage, weights)
    network.get_parameter(parameter).data += 0.5
    save_weights(network, stage, tmp_path)
    arguments = ["mil", "diff", str(package(stage)), "--pytorch", stage.value, "--weights", str(tmp_path)]
    result = cli(*arguments, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["first"]["name"] == first
    shown = cli(*arguments).stdout
    assert f" {first}" in shown
    assert parameter.rpartition(".")[0] in shown  # the layer itself, or that it is fused into another


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], ["--pytorch"]),
        (["B", "--pytorch", "depth"], ["--pytorch"]),
        (["B", "--weights", "."], ["--weights"]),
        (["DEPTH"], ["[1, 3, 96, 96]", "[1, 3, 128, 128]", "only programs with the same inputs"]),
        (["--pytorch", "depth"], ["image, defocus"]),
        (["--pytorch", "lens_blur", "--weights", "."], ["no weights for lens_blur"]),
        (["--pytorch", "lens_blur", "--input", "image=1", "--input", "blur=1"], ["blur"]),
    ],
)
def test_diff_refuses_bad_input_in_one_line(cli, package, options: list[str], words: list[str]) -> None:
    names = {"B": str(package("lens_blur")), "DEPTH": str(package("depth"))}
    result = cli("mil", "diff", str(package("lens_blur")), *(names.get(option, option) for option in options))
    assert_one_line(result, *words)

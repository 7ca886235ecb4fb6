"""Every family of depth networks in every target, with the real classes: offline, of random weights, thin."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from skimage import data

from dofkit.commands.export import command
from dofkit.export.folded import graph_weights
from dofkit.export.keep_fp32 import KeepFp32
from dofkit.export.stages import StageGraph
from dofkit.export.stored import StoredWeights
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.metrics import psnr
from dofkit.runtime_ref.pipeline.portrait import depth_input
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.brought.families import IMAGENET
from dofkit.train.brought.hub import ModelFacts
from dofkit.train.brought.kinds import DepthKind
from dofkit.train.brought.networks import Brought
from dofkit.train.brought.opening import open_depth_model

from .stand_ins import STAND_INS, write_stand_in
from .thin_families import THIN, write_thin

Image = NDArray[Any]
SIZES = {"glpn": (96, 128), "zoedepth": (64, 64), "depth_anything_metric": (56, 84)}  # else of their training


def opened(family: str, folder: Path) -> Brought:
    """A thin network, written and read."""
    if family in STAND_INS:
        kind = DepthKind.SCALE_INVARIANT if family == "depth_anything_3" else DepthKind.DISPARITY
        return open_depth_model(str(write_stand_in(family, folder)), ModelFacts(kind=kind, preprocessing=IMAGENET))
    return open_depth_model(str(write_thin(family, folder / family)))


def written(target: Target, graph: StageGraph, folder: Path) -> tuple[Path, Path]:
    """A target's files in float32 and float16."""
    whole, half = (folder / f"{precision}{target.suffix}" for precision in (Precision.FP32, Precision.FP16))
    match target:
        case Target.ONNX:
            from dofkit.export.onnx.convert import convert, convert_half

            convert(graph, whole)
            convert_half(graph, whole, half)
        case Target.TFLITE:
            from dofkit.export.tflite.convert import convert
            from dofkit.export.tflite.quantise import quantise

            convert(graph, whole)
            quantise(whole, half, Precision.FP16)
        case Target.COREML:
            from dofkit.export.coreml.convert import TracedStage
            from dofkit.export.coreml.options import CoreMLOptions

            traced = TracedStage(graph, CoreMLOptions())
            traced.write(whole, Precision.FP32, KeepFp32())
            traced.write(half, Precision.FP16, KeepFp32())
        case Target.COREAI:
            from dofkit.export.coreai.convert import convert
            from dofkit.export.coreai.quantise import quantise

            convert(graph, whole)
            quantise(whole, half, Precision.FP16, None, (), careful=True)
    return whole, half


def predicted(target: Target, path: Path, image: Image) -> Image:
    """What a file makes of an image."""
    match target:
        case Target.ONNX:
            import onnxruntime

            return np.asarray(onnxruntime.InferenceSession(str(path)).run(None, {"image": image})[0])
        case Target.TFLITE:
            from ai_edge_litert.interpreter import Interpreter

            run = Interpreter(str(path)).get_signature_runner("depth")
            return run(image=image.transpose(0, 2, 3, 1))["disparity"].transpose(0, 3, 1, 2)
        case Target.COREML:
            from dofkit.runtime_ref.mil import MLProgram

            return MLProgram.open(path).predict({"image": image})["disparity"]
        case Target.COREAI:
            from dofkit.runtime_ref.coreai import open_program

            return open_program(path).predict({"image": image})["disparity"]


def stored(target: Target) -> StoredWeights[Any]:
    """How a target's weights are read."""
    match target:
        case Target.ONNX:
            from dofkit.export.onnx.stored import STORED

            return STORED
        case Target.TFLITE:
            from dofkit.export.tflite.stored import STORED

            return STORED
        case Target.COREML:
            from dofkit.export.coreml.weights import stored_weights

            return stored_weights()
        case Target.COREAI:
            from dofkit.export.coreai.stored import stored_weights as stored_in_asset

            return stored_in_asset()


# In CI one family a target, another for each; TFLite's conversions and the rest take minutes.
IN_CI = {
    ("dpt_swinv2", Target.ONNX), ("zoedepth", Target.COREML), ("depth_anything_3", Target.COREAI),
}  # fmt: skip


def pairs() -> Iterator[Any]:
    """Every family with every target; Depth Pro's `unfold` becomes a convolution of 3 GB in coremltools."""
    for family in (*THIN, *STAND_INS):
        for target in (Target.ONNX, Target.TFLITE) if family == "depth_pro" else Target:
            mark = pytest.mark.e2e if (family, target) in IN_CI else pytest.mark.slow
            yield pytest.param(family, target, marks=mark, id=f"{family}-{target}")


@pytest.mark.parametrize(("family", "target"), pairs())
def test_a_family_computes_the_same_in_a_target_and_its_weights_are_proven(
    family: str, target: Target, tmp_path: Path
) -> None:
    brought = opened(family, tmp_path)
    size = SIZES.get(family, brought.contract.size.usual[0])
    graph = StageGraph(Stage.DEPTH, brought.network, size, rewritten=True)
    image = depth_input(data.astronaut(), size)
    with torch.inference_mode():
        expected = brought.network(torch.from_numpy(image)).numpy()
    assert expected.std() > 0.01  # it says something
    whole, half = written(target, graph, tmp_path)
    assert psnr(expected, predicted(target, whole, image)) >= 100
    assert psnr(expected, predicted(target, half, image)) >= 60
    weights = graph_weights(graph)
    for path in (whole, half):
        entries = stored(target).compare(weights, path)
        assert [(e.name, e.problem, e.uncompared) for e in entries if e.problem or e.uncompared] == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thin Depth Anything, as transformers writes it, with a card."""
    folder = write_thin("depth_anything", tmp_path_factory.mktemp("brought") / "thin-anything")
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    return folder


@pytest.mark.slow
def test_a_folder_becomes_a_bundle_that_says_where_its_network_is_from(folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "thin.dofbundle"
    arguments = [
        "--target",
        "onnx",
        "--precision",
        "fp32",
        "--precision",
        "w8",
        "--depth-size",
        "3:4",
        "--stage",
        "depth",
    ]
    done = CliRunner().invoke(
        command, [*arguments, "--depth-model", str(folder), "--assume-sign", "--out", str(bundle), "--json"]
    )
    assert done.exit_code == 0, done.output
    assert "'cc-by-nc-4.0', which does not let a product use it" in done.stderr
    report = json.loads(done.stdout)
    assert {row["verdict"] for row in report["parity"]["results"]} == {"PASS"}
    depth = json.loads((bundle / "manifest.json").read_text())["networks"]["depth"]
    assert depth["architecture"] == "depth_anything"
    assert depth["licence"] == "cc-by-nc-4.0"
    assert depth["configuration"] == {
        "source": "thin-anything", "format": "transformers", "model": "DepthAnythingForDepthEstimation",
        "kind": "disparity", "size": "56x56",
    }  # fmt: skip
    assert depth["parameters"] > 10_000
    stored = {model["model"].rpartition(".")[0][-2:]: model for model in report["storage"]}
    assert stored["w8"]["compressed"] > 20  # fully connected layers, too
    readme = (bundle / "README.md").read_text()
    assert "thin-anything (DepthAnythingForDepthEstimation), transformers: it gives disparity" in readme
    assert "70×42" in readme  # 3:4 of 56² pixels in patches of 14


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("change", "asked", "words"),
    [
        (lambda f: (f / "model.safetensors").unlink(), ModelFacts(), r"has no \.safetensors file"),
        (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), ModelFacts(),
            r"pytorch_model\.bin is a pickle, which could run code",
        ),
        (lambda f: (f / "config.json").write_text('{"model_type": "mine"}'), ModelFacts(), "no network that"),
        (lambda f: None, ModelFacts(kind=DepthKind.METRIC), "gives disparity; leave it out"),
        (
            lambda f: (f / "config.json").write_text(
                (f / "config.json").read_text().replace('"fusion_hidden_size": 16', '"fusion_hidden_size": 24')
            ),
            ModelFacts(), "is no depth network that transformers can load|its weights lack",
        ),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_whole_is_refused_with_the_remedy(
    folder: Path, tmp_path: Path, change: Callable[[Path], Any], asked: ModelFacts, words: str
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    change(copy)
    with pytest.raises(DofkitError, match=words):
        open_depth_model(str(copy), asked)


@pytest.mark.e2e
def test_weights_that_a_checkpoint_lacks_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    tensors = load_file(copy / "model.safetensors")
    tensors.pop("head.conv3.weight")
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DofkitError, match=r"its weights lack 1 of the network's, head\.conv3\.weight first"):
        open_depth_model(str(copy))


@pytest.mark.e2e
def test_portrait_and_landscape_share_weights_and_the_folders_preprocessing_is_heeded(
    folder: Path, tmp_path: Path
) -> None:
    said = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "preprocessor_config.json").write_text(
        json.dumps({**said, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7]})
    )
    brought = open_depth_model(str(copy))
    assert brought.contract.preprocessing.mean == (0.1, 0.2, 0.3)
    assert np.allclose(brought.contract.preprocessing.deviation, (0.5, 0.6, 0.7))
    assert brought.contract.size.usual == ((56, 56), (70, 42), (42, 70))
    with torch.inference_mode():
        for size in brought.contract.size.usual:
            assert brought.network(torch.rand(1, 3, *size)).shape == (1, 1, *size)
    assert "50 is no multiple of 14" in brought.contract.size.problem(56, 50)

"""`--weights product` takes what a product may use, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import dofkit
from dofkit.commands.evaluate_depth import named_paths
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from dofkit.train import shipped
from dofkit.train.evaluation.depth_methods import depth_network
from dofkit.train.networks.depth import DepthNet
from dofkit.train.shipped import PRODUCT, SHIPPED
from dofkit.train.weights import (
    PRODUCT_TERMS,
    RESEARCH_ONLY,
    Terms,
    load_weights,
    save_weights,
    terms_of_weights,
    weights_file,
)


@pytest.fixture
def product(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the shipped folder; it has a depth network without terms, and nothing else."""
    folder = tmp_path / "stand-in"
    save_weights(load_weights(Stage.DEPTH, weights), Stage.DEPTH, folder)
    monkeypatch.setattr(shipped, "PRODUCT", folder)
    return folder


def test_the_name_stands_for_the_folder_and_a_folder_of_that_name_is_written_with_a_dot(product: Path) -> None:
    assert shipped.named_weights("product") == product
    assert shipped.named_weights("./product") == Path("product") != product
    assert shipped.named_weights("runs/mine") == Path("runs/mine")


def test_product_weights_without_words_of_their_own_have_terms(product: Path) -> None:
    assert terms_of_weights(Stage.DEPTH, product) == PRODUCT_TERMS
    assert "research" not in PRODUCT_TERMS.licence
    own = Terms(licence="CC0", author="us")
    save_weights(load_weights(Stage.DEPTH, product), Stage.DEPTH, product, own)
    assert terms_of_weights(Stage.DEPTH, product) == own


def test_research_only_weights_are_refused_among_those_for_products(product: Path) -> None:
    save_weights(load_weights(Stage.DEPTH, product), Stage.DEPTH, product, RESEARCH_ONLY)
    with pytest.raises(DofkitError, match="no product may use these weights, they are research only"):
        terms_of_weights(Stage.DEPTH, product)


@pytest.mark.parametrize("stage", PIPELINE_STAGES)
def test_every_stage_ships_that_a_product_may_use_and_is_another_network(stage: Stage) -> None:
    assert "research" not in terms_of_weights(stage, PRODUCT).licence
    assert terms_of_weights(stage, PRODUCT).licence.startswith("MIT")
    ours, theirs = (dict(load_weights(stage, folder).named_parameters()) for folder in (PRODUCT, SHIPPED))
    learned = [name for name, tensor in ours.items() if tensor.dim() == 4 and tensor.requires_grad and tensor.any()]
    assert learned
    assert all(not ours[name].equal(theirs[name]) for name in learned)


def test_depth_of_a_focal_stack_has_no_product_weights_and_the_refusal_names_it_alone() -> None:
    with pytest.raises(DofkitError, match="for focal_depth none ship that a product may use"):
        load_weights(Stage.FOCAL_DEPTH, PRODUCT)


def test_product_weights_of_the_renderers_do_not_speak_of_an_encoder() -> None:
    assert terms_of_weights(Stage.DEPTH, PRODUCT) == PRODUCT_TERMS
    for stage in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING):
        assert "EfficientNet" not in terms_of_weights(stage, PRODUCT).licence


@pytest.mark.parametrize("folder", [SHIPPED, PRODUCT], ids=["shipped", "product"])
def test_a_face_is_nearer_than_the_flag_behind_it(folder: Path) -> None:
    """The astronaut of scikit-image stands before a flag and a model of a shuttle; neither training saw her."""
    network = load_weights(Stage.DEPTH, folder).eval()
    photo = torch.from_numpy(pytest.importorskip("skimage.data").astronaut())[None].permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        disparity = network(torch.nn.functional.interpolate(photo, (192, 192), mode="area"))[0, 0]
    face, flag, shuttle = disparity[30:60, 75:95], disparity[20:90, :30], disparity[10:70, 140:185]
    assert face.mean() > flag.mean() + 0.2
    assert face.mean() > shuttle.mean() + 0.2


def test_what_is_missing_is_said_in_one_line_with_what_there_is(cli: Callable, product: Path, tmp_path: Path) -> None:
    missing = "for lens_blur and guided_upsampling none ship that a product may use"
    result = cli("export", "--target", "onnx", "--weights", "product", "--out", str(tmp_path / "x.dofbundle"))
    assert result.exit_code == 2
    assert missing in result.stderr
    assert "export --stage depth only" in result.stderr
    assert result.stderr.count("\n") == 1
    with pytest.raises(DofkitError, match=missing):
        dofkit.open_pipeline(weights="product")
    weights_file(Stage.DEPTH, product).unlink()
    with pytest.raises(DofkitError, match="for depth and lens_blur and guided_upsampling none ship"):
        dofkit.open_pipeline(weights="product")


def test_every_command_that_takes_weights_takes_the_name(cli: Callable) -> None:
    commands = ("render", "export", "check", "bench", "sensitivity", "mil diff", "evaluate depth", "evaluate render")
    for command in (*commands, "train depth", "train render"):
        assert "--weights DIR|product" in cli(*command.split(), "--help").stdout, command


def test_the_evaluation_takes_product_weights_beside_others(product: Path) -> None:
    named = named_paths(["product=product", "mine=runs/mine"])
    assert named == {"product": product, "mine": Path("runs/mine")}
    assert isinstance(depth_network("product", named["product"]).network, DepthNet)
    weights_file(Stage.DEPTH, product).unlink()
    with pytest.raises(DofkitError, match="for depth and lens_blur and guided_upsampling none ship"):
        depth_network("product", named["product"])


@pytest.mark.slow
def test_a_bundle_of_product_weights_states_their_terms_and_is_checked(
    cli: Callable, product: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.dofbundle"
    options = "export --target onnx --stage depth --depth-size 64 --tile 96 --weights product"
    result = cli(*options.split(), "--out", str(out))
    assert result.exit_code == 0, result.output
    assert Bundle.open(out).manifest.networks[Stage.DEPTH].licence == PRODUCT_TERMS.licence
    assert PRODUCT_TERMS.licence in (out / "README.md").read_text()
    result = cli("check", str(out), "--against", "pytorch", "--weights", "product", "--json")
    assert {row["verdict"] for row in json.loads(result.stdout)["results"]} == {"PASS"}, result.output

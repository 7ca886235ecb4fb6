"""From weights folders to methods: what is taken from where, what a changed file changes, what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.portrait import Lens, PortraitPipeline
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from dofkit.train.evaluation.assemble import DepthNetwork, EvaluatedFiles, WeightFiles, load_direct
from dofkit.train.evaluation.methods import DisparitySource, Group, Networks
from dofkit.train.rendering.baselines.direct import WITH_DIRECT, DirectBlurConfig, DirectBlurNet
from dofkit.train.rendering.layered import SceneLens
from dofkit.train.session import default_plan, load_networks, torch_sessions
from dofkit.train.weights import save_weights, weights_file


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a direct regression network of random weights."""
    torch.manual_seed(0)
    network = DirectBlurNet(DirectBlurConfig())
    for parameter in network.parameters():  # it starts as the identity
        torch.nn.init.normal_(parameter, std=0.1)
    return save_weights(network, Stage.LENS_BLUR, tmp_path_factory.mktemp("direct"), architectures=WITH_DIRECT)


def test_ours_render_as_the_pipeline_does(weights: Path) -> None:
    (ours,) = (method for method in EvaluatedFiles.of(weights, {}, None).methods() if method.group is Group.OURS)
    rng = np.random.default_rng(0)
    sharp, disparity = rng.integers(0, 256, (40, 60, 3)).astype(np.uint8), rng.random((40, 60)).astype(np.float32)
    pipeline = PortraitPipeline(torch_sessions(load_networks(weights)), default_plan())
    expected = pipeline.render(sharp, disparity, Lens(0.3, 0.5))
    found = ours.render(sharp, disparity, SceneLens(0.3, 0.5, 60))
    np.testing.assert_allclose(found.astype(int), expected, atol=1)  # tiles may differ, and so may sums' last bits


def test_the_predicted_disparity_is_the_pipelines(weights: Path) -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    pipeline = PortraitPipeline(torch_sessions(load_networks(weights)), default_plan())
    np.testing.assert_array_equal(DepthNetwork.of(WeightFiles.of(weights))(sharp), pipeline.disparity(sharp))


def test_the_table_has_every_group(weights: Path, direct: Path) -> None:
    methods = EvaluatedFiles.of(weights, {"channels=4": weights}, direct).methods()
    assert {method.group for method in methods} == set(Group)
    names = [method.name for method in methods]
    assert len(set(names)) == len(names)
    (ablation,) = (method for method in methods if method.group is Group.ABLATION)
    assert (ablation.name, ablation.kinds) == ("channels=4", (DisparitySource.TRUE, DisparitySource.CORRUPTED))


def test_a_fingerprint_changes_with_the_weights_alone(weights: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(weights, tmp_path / "copied")
    before = WeightFiles.of(weights).networks("ours").fingerprint
    assert WeightFiles.of(copied).networks("ours").fingerprint == before
    torch.manual_seed(1)
    network = WeightFiles.of(copied).load(Stage.LENS_BLUR)
    next(network.parameters()).data += 1
    save_weights(network, Stage.LENS_BLUR, copied)
    assert WeightFiles.of(copied).networks("ours").fingerprint != before


def test_stages_that_a_folder_lacks_come_from_ours(weights: Path, tmp_path: Path) -> None:
    shutil.copy(weights_file(Stage.LENS_BLUR, weights), tmp_path)
    files = WeightFiles.of(tmp_path, weights).files
    assert files == {
        stage: weights_file(stage, tmp_path if stage is Stage.LENS_BLUR else weights) for stage in PIPELINE_STAGES
    }


def test_the_direct_network_takes_the_lens_blurs_place(weights: Path, direct: Path) -> None:
    methods = EvaluatedFiles.of(weights, {}, direct.parent).methods()
    (replaced,) = (method for method in methods if method.group is Group.REPLACED)
    assert isinstance(replaced, Networks)
    rng = np.random.default_rng(0)
    sharp, disparity = rng.integers(0, 256, (40, 60, 3)).astype(np.uint8), rng.random((40, 60)).astype(np.float32)
    halo = DirectBlurNet.halo
    image = torch.from_numpy(np.pad(sharp, [(halo, halo), (halo, halo), (0, 0)], mode="edge")).float() / 255
    radius = (np.pad(disparity, halo, mode="edge") - 0.3) * 60 / 40
    with torch.inference_mode():
        output = load_direct(direct)(image.permute(2, 0, 1)[None], torch.from_numpy(radius)[None, None] / 8)
    expected = output[0, :, halo:-halo, halo:-halo].permute(1, 2, 0).numpy() * 255
    found = replaced.render(sharp, disparity, SceneLens(0.3, 1.0, 60))
    assert np.abs(found - sharp.astype(int)).max() > 9  # it does something
    np.testing.assert_allclose(found, expected, atol=0.51)


def test_what_is_missing_is_named(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="holds no lens_blur"):
        WeightFiles.of(tmp_path)
    with pytest.raises(DofkitError, match="no direct regression network at"):
        EvaluatedFiles.of(weights, {}, tmp_path)
    with pytest.raises(DofkitError, match="two methods are called 'ours'"):
        EvaluatedFiles.of(weights, {"ours": weights}, None).methods()


def test_another_networks_file_is_no_direct_network(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="holds no direct regression network"):
        load_direct(weights_file(Stage.LENS_BLUR, weights))
    broken = tmp_path / "direct.safetensors"
    broken.write_bytes(b"nothing")
    with pytest.raises(DofkitError, match="holds no direct regression network"):
        load_direct(broken)

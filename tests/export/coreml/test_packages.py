"""Packages as app teams want them: deployment targets, camera buffers, functions of one package, metadata, bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dofkit.export.coreml.convert import TracedStage
from dofkit.export.coreml.options import CoreMLOptions, DeploymentTarget
from dofkit.export.labels import Labels
from dofkit.export.stages import StageGraph
from dofkit.runtime_ref.backends.mil import MilSession
from dofkit.runtime_ref.bundle.golden import GoldenArrays
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.mil import MLProgram, Package
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision

from .conftest import SMALL, Export

UP = Stage.GUIDED_UPSAMPLING


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.e2e
@pytest.mark.parametrize("deployment", DeploymentTarget)
def test_a_package_is_of_its_deployment_targets_specification(
    export_stages: Export, deployment: DeploymentTarget
) -> None:
    folder, (entry,) = export_stages(UP, deployment=deployment)
    assert MLProgram.open(folder / entry.path).package.opset_version == deployment.specification
    assert entry.deployment == deployment.title


@pytest.mark.e2e
def test_camera_buffers_compute_what_tensors_compute(export_stages: Export, golden: GoldenArrays) -> None:
    for stage in (UP, Stage.LENS_BLUR):
        folder, (entry,) = export_stages(stage, precisions=(Precision.FP32,), image_inputs=True, image_outputs=True)
        output = MilSession(stage, folder / entry.path).run(golden.inputs(stage))
        error = np.abs(output - golden.output(stage))
        # Defocus arrives in half precision; in noise the lens blur may take a pixel apart by a rounding, or not.
        assert (error.max() < 2e-3) if stage is UP else (error.mean() < 5e-4)
        assert [tensor.image for tensor in entry.inputs] == [
            "RGB" if tensor.shape[1] == 3 else "GRAYSCALE_FLOAT16" for tensor in entry.inputs
        ]
        assert entry.outputs[0].image == "RGB"


def test_a_camera_buffer_is_8_bit_rgb(export_stages: Export) -> None:
    folder, (entry,) = export_stages(UP, image_inputs=True, image_outputs=True)
    program = MLProgram.open(folder / entry.path)
    picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    low = picture[::2, ::2]
    defocus = np.zeros((48, 48), np.float16)
    outputs = program.predict({"image_high": picture, "image_low": low, "blurred_low": low, "defocus_low": defocus})
    assert outputs["blurred_high"].dtype == np.uint8
    assert outputs["blurred_high"].shape == picture.shape


@pytest.mark.slow  # that of the depth sizes is in CI
def test_functions_of_one_package_share_weights_and_compute_the_same(
    export_stages: Export, golden: GoldenArrays
) -> None:
    stages = (Stage.LENS_BLUR, UP)
    folder, entries = export_stages(*stages, deployment=DeploymentTarget.IOS18, single_package=True, tiles=(64,))
    assert [entry.function for entry in entries] == [
        "lens_blur", "lens_blur_64", "guided_upsampling", "guided_upsampling_64",
    ]  # fmt: skip
    assert len({entry.path for entry in entries}) == 1
    assert [entry.tile for entry in entries] == [None, 64, None, 64]
    apart, single = export_stages(*stages, deployment=DeploymentTarget.IOS18)
    together = next((folder / entries[0].path).rglob("weight.bin")).stat().st_size
    assert together < 1.1 * sum(next((apart / entry.path).rglob("weight.bin")).stat().st_size for entry in single)
    for stage, alone in zip(stages, single, strict=True):
        shared = next(entry for entry in entries if entry.stage is stage and entry.tile is None)
        outputs = [
            MilSession(stage, root / entry.path, entry.function).run(golden.inputs(stage))
            for root, entry in ((folder, shared), (apart, alone))
        ]
        assert np.array_equal(outputs[0], outputs[1])
    assert not any(entry.weight_problems for entry in entries)


@pytest.mark.e2e
def test_depth_sizes_are_functions_that_share_weights_and_compute_what_pytorch_computes(
    export_stages: Export, networks: dict[Stage, torch.nn.Module]
) -> None:
    plan = SMALL.model_copy(update={"depth_height": 64, "depth_width": 96, "further_depth_sizes": ((96, 64),)})
    options = {"precisions": (Precision.FP32,), "deployment": DeploymentTarget.IOS18, "single_package": True}
    folder, entries = export_stages(Stage.DEPTH, plan=plan, **options)
    assert [(entry.function, entry.depth_size) for entry in entries] == [
        ("depth", None), ("depth_96x64", (96, 64)),
    ]  # fmt: skip
    assert len({entry.path for entry in entries}) == 1
    stored = next((folder / entries[0].path).rglob("weight.bin")).stat().st_size
    parameters = sum(parameter.numel() for parameter in networks[Stage.DEPTH].parameters())
    assert stored < 1.05 * 4 * parameters
    assert not any(entry.weight_problems for entry in entries)
    for entry, size in zip(entries, ((64, 96), (96, 64)), strict=True):
        image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            expected = networks[Stage.DEPTH](image).numpy()
        output = MilSession(Stage.DEPTH, folder / entry.path, entry.function).run({"image": image.numpy()})
        np.testing.assert_allclose(output, expected, atol=2e-3)


@pytest.mark.e2e
def test_a_further_tile_size_computes_what_pytorch_computes(
    export_stages: Export, networks: dict[Stage, torch.nn.Module]
) -> None:
    options = {"deployment": DeploymentTarget.IOS18, "single_package": True, "tiles": (64,)}
    folder, (_, larger) = export_stages(UP, precisions=(Precision.FP32,), **options)
    generator = torch.Generator().manual_seed(5)
    inputs = {tensor.name: torch.rand(tensor.shape, generator=generator) for tensor in larger.inputs}
    assert inputs["image_low"].shape[-1] == 64
    with torch.no_grad():
        expected = networks[UP](**inputs).numpy()
    session = MilSession(UP, folder / larger.path, larger.function)
    output = session.run({name: value.numpy() for name, value in inputs.items()})
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_metadata_is_what_was_asked_for(export_stages: Export) -> None:
    labels = Labels(author="A team", licence="MIT", version="1.2")
    folder, (entry,) = export_stages(UP, labels=labels)
    description = Package(folder / entry.path).spec.description
    found = description.metadata
    assert (found.author, found.license, found.versionString) == ("A team", "MIT", "1.2")
    keys = dict(found.userDefined)
    assert json.loads(keys["com.dofkit.plan"]) == SMALL.model_dump(mode="json")
    assert "1 is nearest" in json.loads(keys["com.dofkit.conventions"])["disparity"]
    assert not any("date" in key for key in keys)
    for feature in (*description.input, *description.output):
        assert feature.shortDescription


def test_a_resize_with_antialias_is_refused_in_one_line() -> None:
    class Antialiased(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.interpolate(image, size=(64, 64), mode="bilinear", antialias=True)

    with pytest.raises(DofkitError, match="antialias=True") as refusal:
        TracedStage(StageGraph(Stage.DEPTH, Antialiased(), (128, 128)), CoreMLOptions()).convert(Precision.FP32)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("reciprocal", [lambda x: 1 / x, torch.reciprocal, lambda x: x.reciprocal()])
def test_a_reciprocal_is_one(reciprocal: Callable[[torch.Tensor], torch.Tensor], tmp_path: Path) -> None:
    # coremltools 9.0 makes `inverse` of it, which adds 1e-4 to what it divides by.
    class Reciprocal(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return 0.01 * reciprocal(image[:, :1] + 0.01)

    path = tmp_path / "reciprocal.mlpackage"
    TracedStage(StageGraph(Stage.DEPTH, Reciprocal(), (16, 16)), CoreMLOptions()).convert(Precision.FP32).save(
        str(path)
    )
    image = np.random.default_rng(0).random((1, 3, 16, 16), np.float32) / 10
    expected = 0.01 / (image[:, :1] + 0.01)
    np.testing.assert_allclose(MilSession(Stage.DEPTH, path).run({"image": image}), expected, rtol=1e-6)


def test_inputs_have_one_fixed_shape(export_stages: Export) -> None:
    # Pyramid pooling has no flexible form in Core ML: sizes are functions of one package instead.
    folder, (entry,) = export_stages(Stage.DEPTH)
    for feature in MLProgram.open(folder / entry.path).inputs:
        assert not feature.shapes
        assert not feature.low
        assert feature.shape == (1, 3, 128, 128)


_TWICE = """
import torch
from pathlib import Path
from dofkit.export.coreml.exporter import export
from dofkit.export.coreml.options import *
from dofkit.export.job import Job
from dofkit.export.ranges import measure_ranges
from dofkit.export.stages import stage_graphs
from dofkit.runtime_ref.backends.tracers import open_tracer
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.session import default_plan, load_networks
plan, networks = default_plan(48, ((128, 128),)), load_networks(Path({weights!r}))
graphs = stage_graphs({{s: networks[s] for s in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)}}, plan, Target.COREML)
def sample(stage):
    shapes = {{signal.name: graphs[stage].shape(signal) for signal in graphs[stage].inputs}}
    return {{name: torch.linspace(0, 1, torch.Size(s).numel()).reshape(s).numpy() for name, s in shapes.items()}}
class Calibration:
    def ranges(self, stage, plan, target, model):
        return measure_ranges(open_tracer(stage, target, model), [sample(stage)])
for name in {precisions!r}:
    folder = Path({out!r}) / name
    folder.mkdir(parents=True)
    options = CoreMLOptions(DeploymentTarget.IOS18, single_package=name != "w8a8")
    precisions = (Precision(name),)
    export(Job(Target.COREML, folder, plan, graphs, precisions, (), Calibration(), None, options, lambda _: None))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "precisions",
    [["w4"], pytest.param(["w8", "palette6", "w8a8"], marks=pytest.mark.slow)],
    ids=lambda names: " ".join(names),
)
def test_the_same_options_give_the_same_bytes_in_another_process(
    weights: Path, tmp_path: Path, precisions: list[str]
) -> None:
    contents = []
    for seed in ("1", "2"):
        out = tmp_path / seed
        program = _TWICE.format(weights=str(weights), out=str(out), precisions=precisions)
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, env=_environment(seed))
        contents.append({p.relative_to(out): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()})
    assert contents[0].keys() == contents[1].keys()
    for path, data in contents[0].items():
        assert data == contents[1][path], path


def _environment(seed: str) -> dict[str, str]:
    return {**os.environ, "PYTHONHASHSEED": seed}

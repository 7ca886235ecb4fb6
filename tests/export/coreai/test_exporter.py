"""What an export writes besides its numbers: sizes, buffers and kept operations, as the manifest declares them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("coreai_torch")

from dofkit.export.coreai import export
from dofkit.export.coreml.options import CoreMLOptions
from dofkit.export.job import Job
from dofkit.export.stages import stage_graphs
from dofkit.runtime_ref.backends.mil import ProgramSession
from dofkit.runtime_ref.bundle import ModelEntry
from dofkit.runtime_ref.coreai import Asset, open_program
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.declared import declared_problems
from dofkit.runtime_ref.pipeline.plan import PipelinePlan
from dofkit.runtime_ref.pipeline.stage import INPUTS, Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.session import default_plan, load_networks

pytestmark = pytest.mark.e2e  # every file here is converted

SMALL = default_plan(tile=48, depth_sizes=((128, 128), (160, 128)))
UP = Stage.GUIDED_UPSAMPLING
Export = Callable[..., tuple[Path, list[ModelEntry]]]


@pytest.fixture(scope="module")
def networks(weights: Path) -> dict[Stage, torch.nn.Module]:
    return load_networks(weights)


@pytest.fixture
def export_stages(networks: dict[Stage, torch.nn.Module], tmp_path: Path) -> Export:
    """`export_stages(stage, …, precisions=…, OPTION=…)` → the folder and the manifest's entries."""

    def run(
        *stages: Stage,
        precisions: tuple[Precision, ...] = (Precision.FP32,),
        plan: PipelinePlan = SMALL,
        **options: Any,
    ) -> tuple[Path, list[ModelEntry]]:
        job = Job(
            target=Target.COREAI,
            folder=tmp_path,
            plan=plan,
            graphs=stage_graphs({stage: networks[stage] for stage in stages}, plan, Target.COREAI),
            precisions=precisions,
            golden=(),
            calibration=None,  # pyright: ignore[reportArgumentType]  # no precision here needs ranges
            recipe=None,
            coreml=CoreMLOptions(**options),
            report=lambda _: None,
        )
        return tmp_path, export(job)

    return run


def _levels(entry: ModelEntry) -> dict[str, np.ndarray]:
    """Inputs of a model whose values 8 bits hold."""
    rng = np.random.default_rng(4)
    return {
        tensor.name: (rng.integers(0, 256, tensor.shape) / 255).astype(np.float32)
        if tensor.shape[1] == 3
        else rng.uniform(-1, 1, tensor.shape).astype(np.float32)
        for tensor in entry.inputs
    }


def _pytorch(network: torch.nn.Module, stage: Stage, inputs: dict[str, np.ndarray]) -> np.ndarray:
    with torch.no_grad():
        return network(*(torch.from_numpy(inputs[signal.name]) for signal in INPUTS[stage])).numpy()


@pytest.mark.slow
def test_one_model_has_an_entry_point_for_every_depth_size_and_tile(
    export_stages: Export, networks: dict[Stage, torch.nn.Module]
) -> None:
    folder, entries = export_stages(Stage.DEPTH, UP, single_package=True, tiles=(64,))
    assert {entry.path for entry in entries} == {"models/coreai/portrait.fp32.aimodel"}
    assert [(entry.function, entry.depth_size, entry.tile) for entry in entries] == [
        ("depth", None, None),
        ("depth_160x128", (160, 128), None),
        ("guided_upsampling", None, None),
        ("guided_upsampling_64", None, 64),
    ]
    one = (folder / entries[0].path / "main.mlirb").stat().st_size
    for entry in entries:
        assert not any(layer.problem for layer in entry.layers)
        session = ProgramSession(entry.stage, open_program(folder / entry.path, entry.function), "evaluator")
        assert declared_problems(entry, session.tensors()) == []
        inputs = _levels(entry)
        np.testing.assert_allclose(session.run(inputs), _pytorch(networks[entry.stage], entry.stage, inputs), atol=1e-5)
    stored = sum(layer.size for layer in _weights(folder / entries[0].path, "depth"))
    assert one < 1.5 * stored, "the weights of the depth network are stored once for both sizes"


def _weights(model: Path, function: str) -> list[np.ndarray]:
    from dofkit.export.coreai.stored import stored_convolutions

    return [call.weight.values().view(np.uint8) for call in stored_convolutions(model, function)]


def test_camera_buffers_are_what_the_manifest_declares(
    export_stages: Export, networks: dict[Stage, torch.nn.Module]
) -> None:
    folder, (entry,) = export_stages(UP, image_inputs=True)
    assert {tensor.name: tensor.image for tensor in entry.inputs} == {
        "image_high": "BGRA",
        "image_low": "BGRA",
        "blurred_low": "BGRA",
        "defocus_low": None,
    }
    assert entry.has_buffers
    session = ProgramSession(UP, open_program(folder / entry.path), "evaluator")
    assert declared_problems(entry, session.tensors()) == []
    inputs = _levels(entry)
    np.testing.assert_allclose(session.run(inputs), _pytorch(networks[UP], UP, inputs), atol=1e-5)


def test_operations_kept_in_fp32_are_listed_and_a_name_that_is_nowhere_is_refused(export_stages: Export) -> None:
    folder, (entry,) = export_stages(UP, precisions=(Precision.FP16,), keep_fp32=("sigmoid",))
    assert len(entry.kept_fp32) == 1
    kinds = {op.name: op.type for op in Asset(folder / entry.path).function().block.operations}
    assert "sigmoid" in kinds.values()
    with pytest.raises(DofkitError, match="--keep-fp32 softmax: no operation has this type or output name; types: abs"):
        export_stages(UP, precisions=(Precision.FP16,), keep_fp32=("softmax",))

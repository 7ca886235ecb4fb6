"""Exports of single stages at small sizes, without a bundle around them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dofkit.export.coreml.exporter import export
from dofkit.export.coreml.options import CoreMLOptions
from dofkit.export.job import Job
from dofkit.export.labels import Labels
from dofkit.export.ranges import Ranges, StageInputs, measure_ranges
from dofkit.export.stages import stage_graphs
from dofkit.runtime_ref.backends.tracers import open_tracer
from dofkit.runtime_ref.bundle import ModelEntry
from dofkit.runtime_ref.bundle.golden import GoldenArrays
from dofkit.runtime_ref.pipeline.plan import PipelinePlan
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.session import default_plan, load_networks


class FixedCalibration:
    """Ranges over one given sample of a stage."""

    def __init__(self, sample: Callable[[Stage], StageInputs]) -> None:
        self._sample = sample

    def ranges(
        self, stage: Stage, plan: PipelinePlan, target: Target, model: Path, function: str | None = None
    ) -> Ranges:
        del plan
        return measure_ranges(open_tracer(stage, target, model, function), [self._sample(stage)])


SMALL = default_plan(tile=48, depth_sizes=((128, 128),))
NO_LABELS = Labels()
Export = Callable[..., tuple[Path, list[ModelEntry]]]


@pytest.fixture(scope="session")
def networks(weights: Path) -> dict[Stage, torch.nn.Module]:
    """Networks of random weights."""
    return load_networks(weights)


@pytest.fixture(scope="session")
def golden(networks: dict[Stage, torch.nn.Module]) -> GoldenArrays:
    """Random inputs of the rendering stages at the small sizes, and what PyTorch makes of them."""
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for stage, graph in stage_graphs(
        {s: networks[s] for s in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)}, SMALL, Target.COREML
    ).items():
        inputs = [torch.rand(graph.shape(signal), generator=generator) for signal in graph.inputs]
        with torch.no_grad():
            output = graph.network(*inputs)
        tensors |= {f"{stage}.{s.name}": value.numpy() for s, value in zip(graph.inputs, inputs, strict=True)}
        tensors[f"{stage}.{graph.output.name}"] = output.numpy()
    return GoldenArrays(tensors)


@pytest.fixture
def export_stages(networks: dict[Stage, torch.nn.Module], golden: GoldenArrays, tmp_path: Path) -> Export:
    """`export_stages(stage, …, precisions=…, OPTION=…)` → the folder and the manifest's entries."""

    def run(
        *stages: Stage,
        precisions: tuple[Precision, ...] = (Precision.FP16,),
        recipe: Any = None,
        labels: Labels = NO_LABELS,
        plan: PipelinePlan = SMALL,
        **options: Any,
    ) -> Any:
        folder = tmp_path / f"bundle{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        graphs = stage_graphs({stage: networks[stage] for stage in stages}, plan, Target.COREML)
        job = Job(
            target=Target.COREML,
            folder=folder,
            plan=plan,
            graphs=graphs,
            precisions=precisions,
            golden=(golden,),
            calibration=FixedCalibration(golden.inputs),  # pyright: ignore[reportArgumentType]
            recipe=recipe,
            coreml=CoreMLOptions(**options),
            report=lambda _: None,
            labels=labels,
        )
        return folder, export(job)

    return run

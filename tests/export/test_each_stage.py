"""One stage in every precision of ONNX and TFLite: the files, and what the manifest says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from dofkit.export import onnx, tflite
from dofkit.export.coreml.options import CoreMLOptions
from dofkit.export.job import Job
from dofkit.export.ranges import Ranges, measure_ranges
from dofkit.export.recipe import Measured, Recipe
from dofkit.export.stages import stage_graphs
from dofkit.export.tflite.stored import convolutions
from dofkit.runtime_ref.backends.tracers import open_tracer
from dofkit.runtime_ref.bundle import ModelEntry
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.plan import PipelinePlan
from dofkit.runtime_ref.pipeline.stage import INPUTS, Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.networks import ARCHITECTURES, LensBlurNet
from dofkit.train.session import default_plan

PLAN = default_plan(tile=48, depth_sizes=((128, 128),))
KEPT = ("context.2", "correction.local")
FLOATS = (Precision.FP32, Precision.FP16)
INTEGERS = (Precision.W8, Precision.DYNAMIC, Precision.W8A8, Precision.MIXED)


class NoiseCalibration:
    """A calibration on one picture of noise; counts how often ranges are asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def ranges(
        self, stage: Stage, plan: PipelinePlan, target: Target, model: Path, function: str | None = None
    ) -> Ranges:
        del plan
        self.asked += 1
        rng = np.random.default_rng(1)
        sample = {signal.name: rng.random((1, signal.channels, 48, 48), np.float32) for signal in INPUTS[stage]}
        return measure_ranges(open_tracer(stage, target, model, function), [sample])


@dataclass(frozen=True)
class Exporter:
    """How a target is exported.

    Attributes:
        export: writes every precision of a job.
        precisions: all that the target has.
        layers: how many it has.
    """

    target: Target
    export: Callable[[Job], list[ModelEntry]]
    precisions: tuple[Precision, ...]
    layers: int

    @property
    def exact(self) -> tuple[str, ...]:
        """Layers that no precision quantises."""
        return tuple(ARCHITECTURES.named("lens_blur").contract.exact_layers(self.target))

    def job(self, folder: Path, calibration: NoiseCalibration, *kept: str) -> Job:
        """A lens blur with random weights, and a recipe that keeps layers in floats."""
        figures = Measured(psnr=40.0, bytes=1, size=0.4)
        recipe = Recipe(
            target=self.target,
            budget="PSNR=40",
            keep={Stage.LENS_BLUR: kept},
            layers={Stage.LENS_BLUR: self.layers},
            weights={},
            pictures=("noise",),
            reached=figures,
            everything=figures,
        )
        torch.manual_seed(4)
        return Job(
            target=self.target,
            folder=folder,
            plan=PLAN,
            graphs=stage_graphs({Stage.LENS_BLUR: LensBlurNet().eval()}, PLAN, self.target),
            precisions=self.precisions,
            golden=(),
            calibration=calibration,  # pyright: ignore[reportArgumentType]
            recipe=recipe,
            coreml=CoreMLOptions(),
            report=lambda _: None,
        )


EXPORTERS = (
    Exporter(Target.ONNX, onnx.export, (*FLOATS, *INTEGERS), 18),
    Exporter(Target.TFLITE, tflite.export, (*FLOATS, *INTEGERS, Precision.W4), 24),
)


@dataclass(frozen=True)
class Written:
    """What an export wrote: its files, its entries in the manifest, and how often it measured ranges."""

    exporter: Exporter
    folder: Path
    entries: dict[Precision, ModelEntry]
    asked: int

    def floats(self, precision: Precision) -> set[str]:
        """Layers that are not quantised in a precision."""
        return {layer.name for layer in self.entries[precision].layers if layer.stored in ("fp32", "fp16")}


@pytest.fixture(scope="module", params=[pytest.param(one, id=one.target, marks=pytest.mark.e2e) for one in EXPORTERS])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder, calibration = tmp_path_factory.mktemp("bundle"), NoiseCalibration()
    entries = request.param.export(request.param.job(folder, calibration, *KEPT))
    return Written(request.param, folder, {entry.precision: entry for entry in entries}, calibration.asked)


def test_every_precision_has_a_file_of_its_own_and_nothing_else_is_left(written: Written) -> None:
    assert list(written.entries) == list(written.exporter.precisions)
    files = {path.relative_to(written.folder).as_posix() for path in written.folder.rglob("*") if path.is_file()}
    assert files == {entry.path for entry in written.entries.values()}
    assert len({(written.folder / path).read_bytes() for path in files}) == len(written.entries)


def test_the_stored_weights_are_proven_in_every_precision(written: Written) -> None:
    for entry in written.entries.values():
        assert len(entry.layers) == written.exporter.layers
        assert entry.weight_problems == ()


def test_mixed_names_the_layers_that_it_keeps(written: Written) -> None:
    mixed = written.entries[Precision.MIXED]
    assert mixed.kept_float == tuple(sorted(KEPT + written.exporter.exact))
    assert written.floats(Precision.MIXED) == {*KEPT, *written.exporter.exact}


def test_mixed_keeps_the_recipes_layers_in_the_file_too(written: Written) -> None:
    if written.exporter.target is Target.TFLITE:
        stored = [each.stored for each in convolutions(written.folder / written.entries[Precision.MIXED].path)]
        assert stored.count("fp16") == len(KEPT + written.exporter.exact)
        assert written.entries[Precision.W8].storage == "w8, 15 of 24 layers"


@pytest.mark.parametrize("precision", [Precision.W8, Precision.DYNAMIC, Precision.W8A8])
def test_what_the_network_declares_exact_is_never_quantised(written: Written, precision: Precision) -> None:
    assert sorted(written.entries[precision].kept_float) == sorted(written.exporter.exact)
    assert written.floats(precision) >= set(written.exporter.exact)
    assert written.entries[Precision.FP16].kept_float == ()


def test_ranges_are_measured_once_for_all_precisions(written: Written) -> None:
    assert written.asked == 1


@pytest.mark.parametrize("exporter", EXPORTERS, ids=lambda exporter: exporter.target)
def test_a_recipe_for_another_network_is_one_line_before_any_work(exporter: Exporter, tmp_path: Path) -> None:
    calibration = NoiseCalibration()
    with pytest.raises(DofkitError, match=r"^the network has no layer 'encoder\.none' to keep .*dofkit sensitivity"):
        exporter.export(exporter.job(tmp_path, calibration, "encoder.none"))
    assert calibration.asked == 0
    assert not list(tmp_path.iterdir())

"""One stage in every precision: the files, and what the manifest says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dofkit.export.coreml.options import CoreMLOptions
from dofkit.export.job import Job
from dofkit.export.onnx import export
from dofkit.export.ranges import Ranges, measure_ranges
from dofkit.export.recipe import Measured, Recipe
from dofkit.export.stages import stage_graphs
from dofkit.runtime_ref.backends.tracers import open_tracer
from dofkit.runtime_ref.bundle import ModelEntry
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.plan import PipelinePlan
from dofkit.runtime_ref.pipeline.stage import INPUTS, Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.networks import LensBlurNet
from dofkit.train.session import default_plan

PLAN = default_plan(tile=48, depth_sizes=((128, 128),))
KEPT = ("context.2", "correction.local")
EXACT = LensBlurNet.exact  # no precision quantises these
WRITTEN = (Precision.FP32, Precision.FP16, Precision.W8, Precision.DYNAMIC, Precision.W8A8, Precision.MIXED)


class _Noise:
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


def _job(folder: Path, calibration: _Noise, *kept: str) -> Job:
    figures = Measured(psnr=40.0, bytes=1, size=0.4)
    recipe = Recipe(
        target=Target.ONNX,
        budget="PSNR=40",
        keep={Stage.LENS_BLUR: kept},
        layers={Stage.LENS_BLUR: 18},
        weights={},
        pictures=("noise",),
        reached=figures,
        everything=figures,
    )
    torch.manual_seed(4)
    return Job(
        target=Target.ONNX,
        folder=folder,
        plan=PLAN,
        graphs=stage_graphs({Stage.LENS_BLUR: LensBlurNet().eval()}, PLAN, Target.ONNX),
        precisions=WRITTEN,
        golden=(),
        calibration=calibration,  # pyright: ignore[reportArgumentType]
        recipe=recipe,
        coreml=CoreMLOptions(),
        report=lambda _: None,
    )


Written = tuple[Path, dict[Precision, ModelEntry], int]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The folder, the entries, and how often ranges were measured."""
    folder, calibration = tmp_path_factory.mktemp("bundle"), _Noise()
    entries = export(_job(folder, calibration, *KEPT))
    return folder, {entry.precision: entry for entry in entries}, calibration.asked


def test_every_precision_has_a_file_of_its_own_and_nothing_else_is_left(written: Written) -> None:
    folder, entries, _ = written
    assert list(entries) == list(WRITTEN)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {entry.path for entry in entries.values()}
    assert len({(folder / path).read_bytes() for path in files}) == len(WRITTEN)


def test_the_stored_weights_are_proven_in_every_precision(written: Written) -> None:
    for entry in written[1].values():
        assert len(entry.layers) == 18
        assert entry.weight_problems == ()


def test_mixed_names_the_layers_that_it_keeps(written: Written) -> None:
    mixed = written[1][Precision.MIXED]
    assert mixed.kept_float == tuple(sorted(KEPT + EXACT))
    assert {layer.name for layer in mixed.layers if layer.stored != "int8"} == {*KEPT, *EXACT}


@pytest.mark.parametrize("precision", [Precision.W8, Precision.DYNAMIC, Precision.W8A8])
def test_what_the_network_declares_exact_is_never_quantised(written: Written, precision: Precision) -> None:
    entry = written[1][precision]
    assert sorted(entry.kept_float) == sorted(EXACT)
    assert {layer.name for layer in entry.layers if layer.stored != "int8"} >= set(EXACT)
    assert written[1][Precision.FP16].kept_float == ()


def test_ranges_are_measured_once_for_all_precisions(written: Written) -> None:
    assert written[2] == 1


def test_a_recipe_for_another_network_is_one_line_before_any_work(tmp_path: Path) -> None:
    calibration = _Noise()
    with pytest.raises(DofkitError, match=r"^the network has no layer 'encoder\.none' to keep .*dofkit sensitivity"):
        export(_job(tmp_path, calibration, "encoder.none"))
    assert calibration.asked == 0
    assert not list(tmp_path.iterdir())

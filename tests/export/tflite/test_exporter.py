"""One stage in every precision: the files, and what the manifest says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dofkit.export.coreml.options import CoreMLOptions
from dofkit.export.each_stage import names_in_file, refuse_unknown
from dofkit.export.folded import folded_layers
from dofkit.export.job import Job
from dofkit.export.ranges import Ranges, measure_ranges
from dofkit.export.recipe import Measured, Recipe
from dofkit.export.stages import stage_graphs
from dofkit.export.tflite import export
from dofkit.export.tflite.stored import convolutions
from dofkit.runtime_ref.backends.tracers import open_tracer
from dofkit.runtime_ref.bundle import ModelEntry
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.plan import PipelinePlan
from dofkit.runtime_ref.pipeline.stage import INPUTS, Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.networks import LensBlurNet
from dofkit.train.session import default_plan

from .conftest import Convert, Converted

PLAN = default_plan(tile=48, depth_sizes=((128, 128),))
KEPT = ("context.2", "correction.local")
EXACT = LensBlurNet.exact  # no precision quantises these
WRITTEN = (
    Precision.FP32,
    Precision.FP16,
    Precision.W8,
    Precision.DYNAMIC,
    Precision.W8A8,
    Precision.MIXED,
    Precision.W4,
)


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


def _recipe(*layers: str) -> Recipe:
    figures = Measured(psnr=40.0, bytes=1, size=0.4)
    return Recipe(
        target=Target.TFLITE,
        budget="PSNR=40",
        keep={Stage.LENS_BLUR: layers},
        layers={Stage.LENS_BLUR: 18},
        weights={},
        pictures=("noise",),
        reached=figures,
        everything=figures,
    )


def _job(folder: Path, calibration: _Noise, recipe: Recipe) -> Job:
    torch.manual_seed(4)
    return Job(
        target=Target.TFLITE,
        folder=folder,
        plan=PLAN,
        graphs=stage_graphs({Stage.LENS_BLUR: LensBlurNet().eval()}, PLAN, Target.TFLITE),
        precisions=WRITTEN,
        golden=(),
        calibration=calibration,  # pyright: ignore[reportArgumentType]
        recipe=recipe,
        coreml=CoreMLOptions(),
        report=lambda _: None,
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Precision, ModelEntry], int]:
    """The folder, the entries, and how often ranges were measured."""
    folder, calibration = tmp_path_factory.mktemp("bundle"), _Noise()
    entries = export(_job(folder, calibration, _recipe(*KEPT)))
    return folder, {entry.precision: entry for entry in entries}, calibration.asked


def test_every_precision_has_a_file_of_its_own_and_nothing_else_is_left(
    written: tuple[Path, dict[Precision, ModelEntry], int],
) -> None:
    folder, entries, _ = written
    assert list(entries) == list(WRITTEN)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {entry.path for entry in entries.values()}
    assert len({(folder / path).read_bytes() for path in files}) == len(WRITTEN)


def test_the_stored_weights_are_proven_in_every_precision(
    written: tuple[Path, dict[Precision, ModelEntry], int],
) -> None:
    for entry in written[1].values():
        assert len(entry.layers) == 18
        assert entry.weight_problems == ()
    assert written[1][Precision.W8].storage == "w8, 11 of 18 layers"


def test_mixed_keeps_the_recipes_layers(
    written: tuple[Path, dict[Precision, ModelEntry], int],
) -> None:
    folder, entries, _ = written
    mixed = entries[Precision.MIXED]
    assert mixed.kept_float == tuple(sorted(KEPT + EXACT))
    assert {layer.name for layer in mixed.layers if layer.stored == "fp16"} == {*KEPT, *EXACT}
    assert [each.stored for each in convolutions(folder / mixed.path)].count("fp16") == len(KEPT + EXACT)


@pytest.mark.parametrize("precision", [Precision.W8, Precision.DYNAMIC, Precision.W8A8])
def test_what_the_network_declares_exact_is_never_quantised(
    written: tuple[Path, dict[Precision, ModelEntry], int], precision: Precision
) -> None:
    entry = written[1][precision]
    assert sorted(entry.kept_float) == sorted(EXACT)
    assert {layer.name for layer in entry.layers if layer.stored == "fp16"} >= set(EXACT)
    assert written[1][Precision.FP16].kept_float == ()


def test_ranges_are_measured_once_for_all_precisions(written: tuple[Path, dict[Precision, ModelEntry], int]) -> None:
    assert written[2] == 1


def test_a_recipe_for_another_network_is_one_line(blur: Converted) -> None:
    layers = folded_layers(blur.graph.network, blur.graph.example())
    with pytest.raises(DofkitError, match=r"^the network has no layer 'encoder\.nothing' to keep .*dofkit sensitivity"):
        refuse_unknown({"encoder.nothing"}, layers)


def test_a_layer_that_is_called_twice_has_two_names_in_the_file(convert_network: Convert) -> None:
    class Shared(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.twice, self.once = torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Conv2d(3, 1, 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.once(torch.relu(self.twice(torch.relu(self.twice(image)))))

    shared = convert_network(Shared())
    stored = convolutions(shared.path)
    layers = folded_layers(shared.graph.network, shared.graph.example())
    assert names_in_file({"twice"}, layers, stored) == {call.name for call in stored[:2]}
    assert names_in_file({"once"}, layers, stored) == {stored[2].name}


def test_layers_are_not_looked_up_in_a_file_of_other_weights(blur: Converted) -> None:
    other = LensBlurNet().eval()
    layers = folded_layers(other, blur.graph.example())
    with pytest.raises(DofkitError, match="layers cannot be found in the file"):
        names_in_file({layers[0].name}, layers, convolutions(blur.path))

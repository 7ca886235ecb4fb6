"""What a layer costs is measured in whole pictures; the choice meets its budget when it is exported for real."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from dofkit.export.calibration import Calibration, CalibrationSet
from dofkit.export.sensitivity import Budget, Sensitivity, measure_sensitivity
from dofkit.export.sensitivity_plot import draw
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.cases import Picture, golden_cases
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Target
from dofkit.train.session import load_networks


@pytest.mark.parametrize(
    ("text", "kind", "value"), [("PSNR=40", "PSNR", 40), ("size = 35%", "SIZE", 0.35), ("SIZE=0.4", "SIZE", 0.4)]
)
def test_a_budget_is_read(text: str, kind: str, value: float) -> None:
    budget = Budget.parse(text)
    assert (budget.kind, budget.value) == (kind, pytest.approx(value))


@pytest.mark.parametrize("text", ["40", "PSNR", "SSIM=1", "SIZE=2", "PSNR=40%", "PSNR=0", "SIZE=-1"])
def test_what_is_no_budget_is_one_line(text: str) -> None:
    with pytest.raises(DofkitError, match=r"write PSNR=40 \(dB\) or SIZE=0\.35"):
        Budget.parse(text)


def _measure(bundle_path: Path, weights: Path, photo: np.ndarray, scratch: Path, budget: str) -> Sensitivity:
    bundle, networks = Bundle.open(bundle_path), load_networks(weights)
    # One small photo to calibrate on: what is tested is the search, not the ranges.
    (scratch / "trials").mkdir()
    small = CalibrationSet((), found=0, own=True)
    calibration = Calibration(small, networks, cache=scratch / "cache")
    picture = Picture("one", "photo", photo, "")
    return measure_sensitivity(
        bundle, Target.TFLITE, Budget.parse(budget), networks, [picture], calibration, scratch / "trials"
    )


@pytest.fixture(scope="module")
def found(bundle_path: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Sensitivity:
    bundle = Bundle.open(bundle_path)
    photo = golden_cases(bundle)[0].arrays().photo[::2, ::2]
    return _measure(bundle_path, weights, np.ascontiguousarray(photo), tmp_path_factory.mktemp("s"), "SIZE=0.40")


@pytest.fixture(scope="module")
def choices(weights: Path) -> list[tuple[Stage, str]]:
    """Every convolution that may lose precision. `foreground` is a head that only training asks."""
    return [
        (stage, name)
        for stage, network in load_networks(weights).items()
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Conv2d) and name not in {"foreground", *getattr(network, "exact", ())}
    ]


@pytest.mark.slow
def test_every_layer_of_every_stage_is_measured_once(found: Sensitivity, choices: list[tuple[Stage, str]]) -> None:
    assert sorted((cost.stage, cost.layer) for cost in found.costs) == sorted(choices)


@pytest.mark.slow
def test_with_all_layers_in_floats_the_files_are_those_in_floats(
    found: Sensitivity, choices: list[tuple[Stage, str]]
) -> None:
    last = found.curve[-1]
    assert last.kept == len(choices)
    assert last.measured.size == 1
    assert last.measured.psnr > 80


@pytest.mark.slow
def test_more_layers_in_floats_make_larger_files(found: Sensitivity) -> None:
    sizes = [point.measured.bytes for point in found.curve]
    assert found.curve[0].kept == 0
    # A layer's fp16 weights may be smaller than its int8 ones with their scales; a kilobyte of 400 is noise.
    assert all(after > before - 1500 for before, after in pairwise(sizes))
    assert sizes[-1] > 2 * sizes[0]


@pytest.mark.slow
def test_the_choice_keeps_to_its_size_and_is_better_than_none(found: Sensitivity) -> None:
    assert found.recipe.reached.size <= 0.40
    assert found.recipe.reached.psnr > found.recipe.everything.psnr
    assert sum(map(len, found.recipe.keep.values())) > 0


@pytest.mark.slow
def test_the_report_is_json_and_a_picture(found: Sensitivity, tmp_path: Path) -> None:
    assert len(json.loads(json.dumps(found.as_json()))["costs"]) == len(found.costs) > 0
    draw(found, tmp_path / "plot.png")
    draw(found, tmp_path / "plot.svg")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "encoder" in (tmp_path / "plot.svg").read_text() or (tmp_path / "plot.svg").stat().st_size > 10_000

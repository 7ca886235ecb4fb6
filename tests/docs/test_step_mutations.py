"""The step cases notice every constant of the steps: with another one some case has another result."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dofkit.export.step_pictures import step_pictures
from dofkit.runtime_ref.bundle.steps import encoded
from dofkit.runtime_ref.parity.host_steps import ALLOWED, StepResults, computed_steps
from dofkit.runtime_ref.pipeline import optics, pyramid, refinement, subject
from dofkit.runtime_ref.pipeline.plan import PipelinePlan, TileSpec
from dofkit.runtime_ref.pipeline.rules import HostRules

from .step_plan import PLAN

# Where a rule's number stands, other ones, and the case that notices each.
NUMBERS: Mapping[str, tuple[ModuleType, str, Mapping[float, str]]] = {
    "lowest_long_side": (pyramid, "LOWEST_LONG_SIDE", {319: "small", 321: "odd"}),
    "refine_from": (refinement, "COARSE", {4: "tiny", 6.2: "coarse"}),
    "refine_long_side": (refinement, "LONGEST", {1535: "coarse", 1537: "coarse"}),
    "refine_edge": (refinement, "EDGE", {0.0199: "coarse", 0.0201: "coarse"}),
    "refine_distance": (refinement, "SPATIAL", {0.599: "coarse", 0.601: "coarse"}),
    "refine_colour": (refinement, "COLOUR", {0.0999: "coarse", 0.1001: "coarse"}),
    "refine_alike": (refinement, "AGREEING", {0.0499: "coarse", 0.0501: "coarse"}),
    "refine_least": (refinement, "LEAST_AGREEING", {0: "coarse", 1e-05: "coarse"}),
    "tap_window": (subject, "FOCUS_WINDOW", {0.009: "fine", 0.011: "fine"}),
    "tap_alike": (subject, "ALIKE", {0.099: "fine", 0.101: "fine"}),
    "focus_long_side": (subject, "FINEST", {349: "fine", 700: "fine"}),
    "subject_spread": (subject, "CENTRE", {0.249: "large", 0.251: "large"}),
    "subject_bins": (subject, "BINS", {63: "large", 65: "large"}),
    "subject_window": (subject, "WINDOW", {20: "large", 22: "large"}),
    "long_side_per_radius": (optics, "LONG_SIDE_PER_RADIUS", {39.99: "strip", 40.01: "strip"}),
    "network_radius": (optics, "NETWORK_RADIUS", {7.99: "strip", 8.01: "strip"}),
    "thin_pitch": (pyramid, "THIN_PITCH", {1: "large", 3: "small"}),
    "thin_share": (pyramid, "THIN", {0.099: "coarse", 0.101: "coarse"}),
    "thin_tie": (pyramid, "THIN_TIE", {0: "strip", 0.001: "coarse"}),
}
CHOSEN_BY_THE_USER = {"usual_aperture"}


def test_every_rule_is_changed_here() -> None:
    assert NUMBERS.keys() | CHOSEN_BY_THE_USER == HostRules.model_fields.keys()


PICTURES = {picture.name: picture for picture in step_pictures(PLAN)}


@cache
def exact(case: str) -> StepResults:
    return computed_steps(PICTURES[case].inputs, PLAN)


def notices(case: str, plan: PipelinePlan = PLAN) -> bool:
    """Whether a check of a bundle with this case would say so."""
    stored = exact(case)  # with the right constants, and so before
    return differs(computed_steps(PICTURES[case].inputs, plan), stored)


def differs(results: StepResults, exact: StepResults) -> bool:
    if (results.depth_size, results.levels, results.weak) != (exact.depth_size, exact.levels, exact.weak):
        return True
    if abs(results.focus - exact.focus) > 1e-5 or results.tensors.keys() != exact.tensors.keys():
        return True
    return any(_apart(name, results.tensors[name][1], values) for name, (_, values) in exact.tensors.items())


def _apart(name: str, values: NDArray[Any], exact: NDArray[Any]) -> bool:
    if values.shape != exact.shape:
        return True
    stored = encoded(name, exact)
    difference = np.abs(encoded(name, values).astype(np.float64) - stored).max()
    return bool(difference > (0 if name.startswith("copied") else ALLOWED[stored.dtype]))


@pytest.mark.parametrize(
    ("module", "name", "value", "case"),
    [
        pytest.param(module, name, value, case, id=f"{rule}={value:g}")
        for rule, (module, name, values) in NUMBERS.items()
        for value, case in values.items()
    ],
)
def test_another_constant_is_noticed(
    module: ModuleType, name: str, value: float, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact(case)
    right = getattr(module, name)
    for other in [m for n, m in sys.modules.items() if n.startswith("dofkit.runtime_ref.pipeline.")]:
        if getattr(other, name, None) == right:
            monkeypatch.setattr(other, name, value)
    assert notices(case)


@pytest.mark.parametrize(
    ("changes", "case"),
    [
        ({"copy_below": 0.18}, "strip"),
        ({"copy_below": 0.22}, "strip"),
        ({"lens_blur": TileSpec(tile=166, halo=20, align=2)}, "flat"),
        ({"lens_blur": TileSpec(tile=168, halo=18, align=2)}, "strip"),
        ({"guided_upsampling": TileSpec(tile=138, halo=6, align=2)}, "strip"),
        ({"guided_upsampling": TileSpec(tile=140, halo=4, align=2)}, "strip"),
        ({"depth_height": 383}, "flat"),
        ({"further_depth_sizes": ((448, 320),)}, "small"),
        ({"further_depth_sizes": ((320, 448),)}, "upright"),
    ],
    ids=str,
)
def test_another_number_of_the_plan_is_noticed(changes: dict[str, Any], case: str) -> None:
    assert notices(case, PLAN.model_copy(update=changes))

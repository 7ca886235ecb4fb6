"""An input that the output does not depend on is found, by one more run each."""

from __future__ import annotations

import numpy as np
import pytest

from dofkit.runtime_ref.parity.diagnosis.effects import changed, ignored_inputs, input_effect
from dofkit.runtime_ref.pipeline.stage import INPUTS, PIPELINE_STAGES, Stage

from .test_hypotheses import Computed, network, scene


@pytest.mark.parametrize("stage", PIPELINE_STAGES)
def test_every_input_that_counts_has_an_effect(stage: Stage) -> None:
    session = Computed(network(stage))
    effects = input_effect(session, scene(stage))
    assert list(effects) == [signal.name for signal in INPUTS[stage]]
    assert min(effects.values()) > 1e-3
    assert session.runs == 1 + len(effects)


@pytest.mark.parametrize("name", ["image_high", "image_low", "blurred_low", "defocus_low"])
def test_an_input_that_is_folded_away_is_named(name: str) -> None:
    stage = Stage.GUIDED_UPSAMPLING
    constant = scene(stage, seed=1)[name]
    session = Computed(lambda given: network(stage)({**given, name: constant}))
    assert ignored_inputs(session, stage, scene(stage)) == (name,)


def test_an_output_that_is_known_is_not_computed_again() -> None:
    session = Computed(network(Stage.DEPTH))
    inputs = scene(Stage.DEPTH)
    input_effect(session, inputs, network(Stage.DEPTH)(inputs))
    assert session.runs == 1


@pytest.mark.parametrize("value", [0.0, 0.25, 1 / 3, 0.5, 1.0])
def test_flat_and_symmetric_pictures_are_changed_too(value: float) -> None:
    picture = np.full((1, 3, 8, 8), value, np.float32)
    other = changed(picture)
    assert np.abs(other - picture).max() > 0.2
    assert 0 <= other.min() <= other.max() <= 1


def test_an_effect_that_is_no_number_is_infinite() -> None:
    inputs = scene(Stage.DEPTH)
    same = inputs["image"].copy()
    session = Computed(
        lambda given: given["image"] if np.array_equal(given["image"], same) else given["image"] * np.nan
    )
    assert input_effect(session, inputs) == {"image": float("inf")}

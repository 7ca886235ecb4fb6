"""Whatever a mistake does to numbers in range, undoing it gives them back, in either order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dofkit.runtime_ref.colour import to_linear
from dofkit.runtime_ref.parity.diagnosis.hypotheses import hypotheses
from dofkit.runtime_ref.parity.diagnosis.mistakes import (
    BGR,
    DEFOCUS,
    DISPARITY,
    GEOMETRY,
    IMAGE_VALUES,
    LAYOUT,
    Mistake,
)
from dofkit.runtime_ref.pipeline.stage import INPUTS, OUTPUTS, PIPELINE_STAGES, Stage

ALL = {m.text: m for m in (BGR, *IMAGE_VALUES, *GEOMETRY, *LAYOUT, *DEFOCUS, *DISPARITY)}
PICTURES = arrays(np.float32, (1, 3, 2, 4), elements=st.floats(0, 1, width=32))


@pytest.mark.parametrize("mistake", ALL.values(), ids=ALL)
@given(picture=PICTURES)
@settings(max_examples=30)
def test_undoing_what_was_made_gives_the_same_numbers(mistake: Mistake, picture: np.ndarray) -> None:
    np.testing.assert_allclose(mistake.undo(mistake.make(picture)), picture, atol=2e-6)
    np.testing.assert_allclose(mistake.make(mistake.undo(picture)), picture, atol=2e-6)
    np.testing.assert_array_equal(mistake.reversed.make(picture), mistake.undo(picture))


@pytest.mark.parametrize("stage", PIPELINE_STAGES)
def test_undoing_a_whole_hypothesis_gives_the_same_tensors(stage: Stage) -> None:
    rng = np.random.default_rng(0)
    inputs = {s.name: rng.uniform(s.low, s.high, (1, s.channels, 4, 4)).astype(np.float32) for s in INPUTS[stage]}
    picture = rng.uniform(0, 1, (1, OUTPUTS[stage].channels, 4, 4)).astype(np.float32)
    for hypothesis in hypotheses(stage):
        for there, back in ((hypothesis.make, hypothesis.undo), (hypothesis.undo, hypothesis.make)):
            found = back(there(inputs))
            for name, value in inputs.items():
                np.testing.assert_allclose(found[name], value, atol=2e-6, err_msg=hypothesis.text)
        again = hypothesis.undo_output(hypothesis.make_output(picture))
        np.testing.assert_allclose(again, picture, atol=2e-6, err_msg=hypothesis.text)


def test_every_hypothesis_says_another_thing() -> None:
    for stage in PIPELINE_STAGES:
        texts = [hypothesis.text for hypothesis in hypotheses(stage)]
        assert len(set(texts)) == len(texts)
        assert not any("{" in text or "\n" in text for text in texts)


def test_linear_light_is_that_of_the_standard() -> None:
    """Known points of IEC 61966-2-1: 8-bit 188 is half of the light, 10 is on the straight part."""
    encoded = np.array([0, 10 / 255, 188 / 255, 1], np.float32)
    np.testing.assert_allclose(to_linear(encoded), [0, 10 / 255 / 12.92, 0.5029, 1], atol=1e-4)


def test_pixels_of_0_to_255_are_normalised_in_the_usual_ways() -> None:
    white = np.ones((1, 3, 1, 1), np.float32)
    made = [mistake.make(white).reshape(3).tolist() for mistake in IMAGE_VALUES[:3]]
    assert made == [[pytest.approx(1 / 255)] * 3, [255] * 3, [1] * 3]

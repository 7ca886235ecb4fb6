"""Shifts of a fraction of a pixel are measured and undone, held against pictures that have a formula."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from dofkit.runtime_ref.parity.diagnosis.hypotheses import likely_causes
from dofkit.runtime_ref.parity.diagnosis.shift import measured_shift, shifted
from dofkit.runtime_ref.parity.tolerances import Tolerance
from dofkit.runtime_ref.pipeline.stage import Stage


def _waves(down: float = 0, right: float = 0, channels: int = 1) -> np.ndarray:
    """A smooth picture, moved: its formula is evaluated at other places."""
    y, x = np.meshgrid(np.arange(96) - down, np.arange(80) - right, indexing="ij")
    planes = [0.5 + 0.2 * np.sin(0.21 * y + 0.1 * x + c) + 0.2 * np.cos(0.05 * y - 0.17 * x) for c in range(channels)]
    return np.stack(planes)[None].astype(np.float32)


@pytest.mark.parametrize("shift", [(0.5, 0.5), (-0.25, 0.75), (0, 0), (2, -1), (0.1, 0)])
def test_a_shift_is_measured_to_a_few_hundredths(shift: tuple[float, float]) -> None:
    assert measured_shift(_waves(), _waves(*shift)) == pytest.approx(shift, abs=0.06)


@pytest.mark.parametrize("shift", [(0.5, 0.5), (-0.25, 0.75), (2, -1)])
def test_a_moved_picture_is_its_formula_at_other_places(shift: tuple[float, float]) -> None:
    inner = (..., slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(shifted(_waves(), *shift)[inner], _waves(*shift)[inner], atol=1e-3)


def test_a_shifted_output_is_named_with_its_shift() -> None:
    reference = _waves(channels=3)

    class Shifted:
        runtime = "test"

        def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
            del inputs
            return _waves(0.5, 0.5, channels=3)

    inputs = {"image": reference, "defocus": _waves()}
    (first, *_) = likely_causes(Shifted(), Stage.LENS_BLUR, inputs, reference, Tolerance(1e-4, None, "test"))
    assert first.startswith("output shifted by +0.5")
    assert "a resize with other pixel centres" in first

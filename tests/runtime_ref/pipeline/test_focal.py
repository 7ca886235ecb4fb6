"""The host's part of focal stacks, in numpy, against the optics that training uses."""

from __future__ import annotations

import numpy as np
import pytest

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.focal import metres, radius_table
from dofkit.runtime_ref.pipeline.stage import DEPTHS
from dofkit.train.rendering.focus_sweep import SWEEPS


@pytest.mark.parametrize("name", SWEEPS)
def test_the_table_is_that_of_the_thin_lens(name: str) -> None:
    sweep = SWEEPS[name]
    camera = sweep.camera
    table = radius_table(sweep.focus, camera.focal_length, camera.f_number, camera.pixel, sweep.near, sweep.far)
    assert table.shape == (len(sweep.focus), DEPTHS, 1, 1)
    np.testing.assert_allclose(table[:, :, 0, 0], sweep.radius(DEPTHS).numpy(), atol=2e-4, rtol=1e-4)


def test_metres_are_linear_in_one_over_depth() -> None:
    assert metres(np.array([0.0, 0.5, 1.0]), 0.5, 10.0) == pytest.approx([10.0, 1 / 1.05, 0.5])


@pytest.mark.parametrize(("focus", "near", "far"), [((0.04, 1.0), 0.5, 10.0), ((1.0, 2.0), 2.0, 1.0)])
def test_what_no_lens_does_is_refused(focus: tuple[float, ...], near: float, far: float) -> None:
    with pytest.raises(DofkitError, match="give metres beyond it"):
        radius_table(focus, 50e-3, 8.0, 12e-6, near, far)

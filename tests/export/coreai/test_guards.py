"""What the converter would change without a word is refused; each fault is still there in the pinned version.

A row that fails here tells that the converter was mended: take the fault out of `FAULTS` then.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip("coreai_torch")

from dofkit.export.coreai.convert import converted
from dofkit.export.coreai.guards import FAULTS
from dofkit.export.coreai.tools import converter, save
from dofkit.runtime_ref.errors import DofkitError

from ...runtime_ref.coreai.programs import apples

pytestmark = pytest.mark.e2e  # every file here is converted

X = torch.rand(1, 2, 9, 9, generator=torch.Generator().manual_seed(1)) + 0.5


class _Calls(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def _grid(x: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False)


PROBES = {
    "avg_pool2d without its padding": lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    "avg_pool2d in ceil mode": lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True),
    "antialiased resize": lambda x: F.interpolate(x, size=(4, 4), mode="bilinear", antialias=True),
    "grid_sample": _grid,
}
# What networks write instead, and other operations that earlier or other converters got wrong.
FAITHFUL = {
    "avg_pool2d without padding": lambda x: F.avg_pool2d(x, 2, 2),
    "avg_pool2d with its padding": lambda x: F.avg_pool2d(x, 5, 1, 2),
    "average over pixels that are there": lambda x: (
        F.avg_pool2d(x, 3, 1, 1) / F.avg_pool2d(torch.ones_like(x), 3, 1, 1)
    ),
    "resize, half-pixel centres": lambda x: F.interpolate(x, size=(18, 14), mode="bilinear", align_corners=False),
    "resize, aligned corners": lambda x: F.interpolate(x, size=(17, 12), mode="bilinear", align_corners=True),
    "resize, nearest": lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest"),
    "reciprocal": torch.reciprocal,
    "reflected padding": lambda x: F.pad(x, (2, 1, 1, 3), mode="reflect"),
    "replicated padding": lambda x: F.pad(x, (2, 1, 1, 3), mode="replicate"),
    "max_pool2d in ceil mode": lambda x: F.max_pool2d(x, 2, 2, ceil_mode=True),
}


def _raw(function, path: Path) -> np.ndarray:
    """What Apple's runtime makes of a function that was converted without our guards."""
    package = converter()
    exported = torch.export.export(_Calls(function), (X,)).run_decompositions(package.get_decomp_table())
    staged = package.TorchConverter(mode=package.TorchConverter.Mode.RELEASE)
    staged.add_exported_program(exported, input_names=["x"], output_names=["y"])
    save(staged.to_coreai()._module._mlir_module, path)
    return apples(path, {"x": X.numpy()})["y"]


def test_every_fault_has_a_probe() -> None:
    assert {fault.name for fault in FAULTS} == set(PROBES)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_fault_is_still_there_and_is_refused(fault, tmp_path: Path) -> None:
    function = PROBES[fault.name]
    try:
        found = _raw(function, tmp_path / "probe.aimodel")
    except (IndexError, ValueError):  # loud: nothing was written
        pass
    else:
        assert np.abs(found - function(X).numpy()).max() > 0.05
    with pytest.raises(DofkitError, match=rf"probe: .*; {fault.remedy.split(',')[0]}"):
        converted(_Calls(function), (X,), ["x"], ["y"], "probe")


@pytest.mark.parametrize("name", FAITHFUL)
def test_what_stands_in_for_it_is_carried_over(name: str, tmp_path: Path) -> None:
    function, path = FAITHFUL[name], tmp_path / "probe.aimodel"
    save(converted(_Calls(function), (X,), ["x"], ["y"], "probe"), path)
    np.testing.assert_allclose(apples(path, {"x": X.numpy()})["y"], function(X).numpy(), atol=2e-6)

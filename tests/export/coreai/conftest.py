"""A small network of what ours consist of, and its models: converted once, in float32, and derived from there."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dofkit.runtime_ref.target import Precision

SIDE = 24


class Small(nn.Module):
    """Convolutions of three kinds with folded norms, pooling, a residual and a resize."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(16, 16, 5, padding=2, groups=16), nn.ReLU())
        self.wide = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.last = nn.Conv2d(32, 3, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image)
        x = x + nn.functional.avg_pool2d(self.depthwise(x), 3, 1, 1)
        x = nn.functional.interpolate(self.wide(x).relu(), scale_factor=2.0, mode="bilinear", align_corners=False)
        return torch.sigmoid(self.last(x))


@pytest.fixture(scope="session")
def network() -> Small:
    """The network, its norms with statistics of their own."""
    torch.manual_seed(3)
    network = Small()
    norm = network.first[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.uniform_(-0.3, 0.3)
    norm.running_var.uniform_(0.5, 2.0)
    return network.eval()


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """`[1, 3, H, W]` in [0, 1]."""
    return np.random.default_rng(1).random((1, 3, SIDE, SIDE), dtype=np.float32)


@pytest.fixture(scope="session")
def example(picture: np.ndarray) -> tuple[torch.Tensor, ...]:
    """The network's inputs."""
    return (torch.from_numpy(picture),)


@pytest.fixture(scope="session")
def asset(
    network: Small, example: tuple[torch.Tensor, ...], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Precision], Path]:
    """The network's model in a precision."""
    from dofkit.export.coreai.convert import converted
    from dofkit.export.coreai.quantise import quantise
    from dofkit.export.coreai.tools import save
    from dofkit.export.ranges import measure_ranges
    from dofkit.runtime_ref.backends.tracers import open_tracer
    from dofkit.runtime_ref.pipeline.stage import Stage
    from dofkit.runtime_ref.target import Target

    folder = tmp_path_factory.mktemp("coreai")

    @cache
    def make(precision: Precision) -> Path:
        goal = folder / f"small.{precision}.aimodel"
        if precision is Precision.FP32:
            save(converted(network, example, ["image"], ["picture"], "small"), goal)
            return goal
        base, ranges = make(Precision.FP32), None
        if precision.needs_ranges:
            inputs = {"image": example[0].numpy()}
            ranges = measure_ranges(open_tracer(Stage.DEPTH, Target.COREAI, base), [inputs])
        quantise(base, goal, precision, ranges, ())
        return goal

    return make

"""The trace of a network holds what every layer gave at the time it gave it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.tracing import trace_layers


class Small(nn.Module):
    """One convolution with BatchNorm, called twice, and a ReLU that works in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU(inplace=True)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm(self.conv(self.act(self.norm(self.conv(image)))))) * 2


def test_layers_are_recorded_in_order_before_a_later_one_changes_them() -> None:
    image = np.random.default_rng(0).standard_normal((1, 3, 4, 4)).astype(np.float32)
    layers, output = trace_layers(Small(), Stage.DEPTH, {"image": image})
    assert [layer.name for layer in layers] == ["conv", "norm", "act", "conv (2)", "norm (2)", "act (2)"]
    assert [layer.absorbed_by for layer in layers] == ["norm", None, None, "norm (2)", None, None]
    assert layers[1].value.min() < 0  # not what the ReLU made of it
    np.testing.assert_array_equal(output, 2 * layers[-1].value)


def test_a_trace_leaves_no_hook_behind() -> None:
    network = Small()
    trace_layers(network, Stage.DEPTH, {"image": np.zeros((1, 3, 4, 4), np.float32)})
    assert not any(module._forward_hooks for module in network.modules())

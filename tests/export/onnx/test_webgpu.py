"""What onnxruntime-web computes wrongly on WebGPU stands in no ONNX file; `tests/devices/browser` runs them there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dofkit.export.onnx.file import OnnxFile
from dofkit.runtime_ref.runtime_faults import wrong_on_webgpu
from dofkit.train.networks.filled_inputs import with_filled_inputs

# Single 3 × 3 convolutions to 4, 8 or 16 channels that were computed in a browser: numbers of input channels.
WRONG = (6, 9, 15, 18, 21, 27, 33)
RIGHT = (1, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 16, 17, 25)


@pytest.mark.parametrize(("channels", "wrong"), [(n, True) for n in WRONG] + [(n, False) for n in RIGHT])
def test_the_rule_is_what_a_sweep_of_single_convolutions_showed(channels: int, wrong: bool) -> None:
    assert wrong_on_webgpu(groups=1, inputs=channels, outputs=16, taps=9) is wrong
    assert not wrong_on_webgpu(groups=1, inputs=channels, outputs=16, taps=1)
    assert not wrong_on_webgpu(groups=2, inputs=channels, outputs=8, taps=9)


@pytest.mark.parametrize("outputs", [3, 5, 6, 7, 10, 19])
def test_numbers_of_output_channels_that_four_does_not_divide_were_right(outputs: int) -> None:
    assert not wrong_on_webgpu(groups=1, inputs=9, outputs=outputs, taps=9)


def test_no_stage_has_such_a_convolution(bundle_path: Path) -> None:
    files = sorted((bundle_path / "models" / "onnx").glob("*.onnx"))
    assert len(files) == 6  # three stages in two precisions
    for path in files:
        file = OnnxFile(path)
        for node in file.nodes:
            if node.op_type == "Conv":
                weight = file.constant(node.input[1])
                assert weight is not None
                groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
                outputs, inputs, height, width = weight.shape
                assert not wrong_on_webgpu(groups, inputs, outputs, height * width), (
                    path.name,
                    node.name,
                    weight.shape,
                )


def test_filled_up_convolutions_store_zeros_and_compute_the_same() -> None:
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Conv2d(9, 16, 3, padding=1), torch.nn.Conv2d(16, 6, 3, stride=2))
    filled, picture = with_filled_inputs(plain), torch.rand(1, 9, 11, 12)
    weights = filled.state_dict()
    assert weights["0.weight"].shape == (16, 12, 3, 3)
    assert weights["1.weight"].shape == (6, 16, 3, 3)
    assert not weights["0.weight"][:, 9:].any()
    np.testing.assert_allclose(filled(picture).detach(), plain(picture).detach(), rtol=0, atol=1e-6)

"""Faults of runtimes that were measured: exports avoid them, lint finds them in files of other origin."""

from __future__ import annotations

WEBGPU_BLOCK = 4  # channels that a WebGPU kernel takes at once


def wrong_on_webgpu(groups: int, inputs: int, outputs: int, taps: int) -> bool:
    """Whether onnxruntime-web computes a convolution wrongly on WebGPU.

    Measured with onnxruntime-web 1.30.0 on SwiftShader, single convolutions against ONNX Runtime: wrong for 6, 9, 15,
    18, 21, 27 and 33 input channels where the output's are a multiple of 4; right for 1 to 5, 7, 8, 10 to 14, 16, 17,
    25 and 36, for 3, 5, 6, 7, 10 and 19 output channels, for two groups of 18, and for kernels of one pixel. A lens
    blur of such layers was at 23.5 dB.

    Args:
        groups: of its channels.
        inputs: input channels of a group.
        outputs: output channels.
        taps: pixels of its kernel.
    """
    uneven = inputs > 3 and inputs % 3 == 0 and inputs % WEBGPU_BLOCK != 0
    return groups == 1 and taps > 1 and uneven and outputs % WEBGPU_BLOCK == 0

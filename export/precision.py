"""What each target can do with each precision, and why not otherwise: one table, for commands, help and docs.

A combination that was measured to be useless is refused with the figure; `--force` overrides.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..runtime_ref.errors import DofkitError
from ..runtime_ref.target import Precision, Target


@dataclass(frozen=True)
class Support:
    """Whether a target's files can be written in a precision.

    Attributes:
        offered: without asking twice.
        possible: with `--force` at least.
        note: what it does there; or why it is not offered.
    """

    offered: bool
    possible: bool
    note: str


def _yes(note: str) -> Support:
    return Support(offered=True, possible=True, note=note)


def _useless(figure: str) -> Support:
    return Support(offered=False, possible=True, note=figure)


def _no(reason: str) -> Support:
    return Support(offered=False, possible=False, note=reason)


_PALETTE_ELSEWHERE = "palettes exist in Core ML and Core AI only; take w8"

SUPPORT: dict[Precision, dict[Target, Support]] = {
    Precision.FP32: {
        Target.COREML: _yes("computed in fp32; runs on CPU and GPU, never on the Neural Engine"),
        Target.TFLITE: _yes("computed in fp32 on CPUs, in fp16 on most GPUs"),
        Target.ONNX: _yes("computed in fp32"),
        Target.COREAI: _yes("computed in fp32"),
    },
    Precision.FP16: {
        Target.COREML: _yes("weights and arithmetic in fp16"),
        Target.TFLITE: _yes("weights in fp16; arithmetic in fp32 on CPUs, in fp16 on GPUs"),
        Target.ONNX: _yes("weights and arithmetic in fp16 between float32 inputs and outputs; slower on x86 CPUs"),
        Target.COREAI: _yes("weights and arithmetic in fp16 between float32 inputs and outputs"),
    },
    Precision.W8: {
        Target.COREML: _yes("computed in fp16"),
        Target.TFLITE: _yes("computed in fp32"),
        Target.ONNX: _yes("computed in fp32; ONNX Runtime restores the weights when it loads"),
        Target.COREAI: _yes("computed in fp16"),
    },
    Precision.DYNAMIC: {
        Target.COREML: _no("Core ML quantises activations with fixed ranges only; take w8 or w8a8"),
        Target.TFLITE: _yes("convolutions in int8, all but the depthwise ones, whose weights are fp16"),
        # Measured per stage on the shipped networks: 7.3 to 8.7 times fp32's.
        Target.ONNX: _useless("7 to 9 times the time of fp32, no smaller than w8 and further from PyTorch; take w8"),
        Target.COREAI: _no("our Core AI models quantise activations with fixed ranges only; take w8 or w8a8"),
    },
    Precision.W8A8: {
        Target.COREML: _yes("convolutions in int8"),
        Target.TFLITE: _yes("convolutions in int8"),
        Target.ONNX: _yes("convolutions in int8; on x86 CPUs only the depth stage is faster for it"),
        Target.COREAI: _yes("inputs of convolutions in int8, the rest in fp16"),
    },
    Precision.MIXED: {
        Target.COREML: _yes("w8a8, a recipe's layers in fp16"),
        Target.TFLITE: _yes("w8a8, a recipe's layers in fp32 with fp16 weights"),
        Target.ONNX: _yes("w8a8, a recipe's layers in fp32 with fp16 weights"),
        Target.COREAI: _yes("w8a8, a recipe's layers in fp16"),
    },
    Precision.W4: {
        Target.COREML: _yes("in blocks of input channels; from iOS 18"),
        # Measured per stage on the shipped networks: 3.0 to 4.5 times fp32's, 27.0 dB in the worst of 11 photos.
        Target.TFLITE: _useless("3 to 4 times the time of fp32, and 27 dB from PyTorch in whole pictures; take w8"),
        Target.ONNX: _no("opset 18 has no 4-bit type; take w8"),
        # apple/coreai-models#279: cosine 0.37 there against 0.999 on the GPU, without a word.
        Target.COREAI: _yes("in blocks of input channels; try it on a phone: on the Neural Engine blocks went wrong"),
    },
    Precision.PALETTE8: {
        Target.COREML: _yes("computed in fp16"),
        Target.TFLITE: _no(_PALETTE_ELSEWHERE),
        Target.ONNX: _no(_PALETTE_ELSEWHERE),
        Target.COREAI: _yes("computed in fp16"),
    },
    Precision.PALETTE6: {
        Target.COREML: _yes("computed in fp16"),
        Target.TFLITE: _no(_PALETTE_ELSEWHERE),
        Target.ONNX: _no(_PALETTE_ELSEWHERE),
        Target.COREAI: _yes("computed in fp16"),
    },
    Precision.PALETTE4: {
        Target.COREML: _yes("computed in fp16"),
        Target.TFLITE: _no(_PALETTE_ELSEWHERE),
        Target.ONNX: _no(_PALETTE_ELSEWHERE),
        Target.COREAI: _yes("computed in fp16"),
    },
}


LEAST_WEIGHTS = 512
"""A layer with fewer weights keeps them in floats: it saves less than a kilobyte and a half, and what restores it
costs as much. TFLite's quantizer decides that itself."""


def base_precision(target: Target) -> Precision:
    """The precision of the files that w8a8 is made from: what the target computes the rest in."""
    return Precision.FP16 if target is Target.COREML else Precision.FP32


def refuse_useless(targets: tuple[Target, ...], precisions: tuple[Precision, ...], force: bool = False) -> None:
    """Refuse, before any work, a combination that cannot be written, or that nobody should want.

    Args:
        targets, precisions: every pair of them is asked for.
        force: write what is measured to be useless all the same.

    Raises:
        DofkitError: the first such pair, and the way out.
    """
    for precision in precisions:
        for target in targets:
            support = SUPPORT[precision][target]
            if not support.possible:
                raise DofkitError(f"--precision {precision} is not there for {target.title}: {support.note}")
            if not support.offered and not force:
                raise DofkitError(
                    f"--precision {precision} does not pay for {target.title}: {support.note}; --force writes it"
                )

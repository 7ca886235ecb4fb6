"""Which operations a delegate takes at all, as its own sources and documents list them.

What a delegate takes of an operation (shapes, attributes) differs between versions; that is for the delegate to say.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...runtime_ref.target import Target
from ..profile import DeviceUnit


@dataclass(frozen=True)
class Supported:
    """The operations of a target that a unit takes.

    Attributes:
        kinds: as the file's operation set calls them.
        source: the document or source that lists them.
    """

    kinds: frozenset[str]
    source: str


_GPU = """
ABS ADD ADD_N AVERAGE_POOL_2D BATCH_MATMUL CAST CONCATENATION CONV_2D COS CUMSUM DENSIFY DEPTHWISE_CONV_2D
DEPTH_TO_SPACE DEQUANTIZE DIV ELU EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GREATER GREATER_EQUAL
HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG LOGISTIC LSTM MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL
ONE_HOT PACK PAD POW PRELU QUANTIZE REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RESHAPE RESIZE_BILINEAR
RESIZE_NEAREST_NEIGHBOR RSQRT SELECT_V2 SIN SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE
STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE TRANSPOSE_CONV
"""
_NNAPI = """
ABS ADD ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_TO_SPACE_ND CAST CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE
DEQUANTIZE DIV ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FULLY_CONNECTED GATHER GREATER GREATER_EQUAL
HARD_SWISH L2_NORMALIZATION LEAKY_RELU LESS LESS_EQUAL LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_AND LOGICAL_NOT
LOGICAL_OR LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 POW PRELU QUANTIZE
REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR
RSQRT SELECT SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARED_DIFFERENCE SQUEEZE
STRIDED_SLICE SUB SUM TANH TILE TOPK_V2 TRANSPOSE TRANSPOSE_CONV
"""

_LEAVING = """
argsort cond cumsum gather gather_along_axis gather_nd gru lstm non_maximum_suppression random_normal random_uniform
resample rnn scatter scatter_along_axis scatter_nd shape topk while_loop
"""

_SUPPORTED = {
    (Target.TFLITE, DeviceUnit.GPU): Supported(
        frozenset(_GPU.split()), "tensorflow/lite/tools/versioning/gpu_compatibility.cc, CheckGpuDelegateCompatibility"
    ),
    (Target.TFLITE, DeviceUnit.NNAPI): Supported(
        frozenset(_NNAPI.split()), "tensorflow/lite/delegates/nnapi/nnapi_delegate.cc, NNAPIDelegateKernel::Validate"
    ),
}


def supported(target: Target, unit: DeviceUnit) -> Supported | None:
    """What is known of a unit; None where nothing is listed in public, or another engine is asked (ONNX Runtime's)."""
    return _SUPPORTED.get((target, unit))


# Seen to leave the Neural Engine in apps; Apple publishes no list. Core ML's compute plan says it for a device.
LEAVES_NEURAL_ENGINE = Supported(
    frozenset(_LEAVING.split()),
    "github.com/hollance/neural-engine, unsupported layers; apple/coremltools issue 1875 (resample)",
)

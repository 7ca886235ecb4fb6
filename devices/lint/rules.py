"""The rules, one small object each. What is a limit here has its source or measurement beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ...runtime_ref.runtime_faults import wrong_on_webgpu
from ...runtime_ref.target import Target
from ..profile import Accelerator, DeviceUnit
from .finding import Problem, Rule, Severity
from .graph import Convolution, Graph, Node
from .operations import LEAVES_NEURAL_ENGINE, supported

_FP16_MOST = 65504.0
_FP16_STEP = 2.0**-11  # half a unit in the last place, relative
_DISPATCHING = (DeviceUnit.GPU, DeviceUnit.NNAPI, DeviceUnit.NEURAL_ENGINE, DeviceUnit.WEBGPU)


@dataclass(frozen=True)
class UnsupportedOperation:
    """Operations that the unit's delegate does not know: they run on the CPU, with copies before and after."""

    id = "unsupported-operation"
    severity = Severity.ERROR
    rewrite = "compute it from operations that the delegate takes, or leave the whole stage to the CPU"

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """See `Rule`."""
        known = supported(graph.target, unit.unit)
        if known is None:
            return
        for node in graph.nodes:
            if node.kind not in known.kinds:
                yield Problem(node, f"{node.kind} is not taken by the {unit.unit.title} delegate ({known.source})")


@dataclass(frozen=True)
class LeavesNeuralEngine:
    """Operations that were seen to leave the Neural Engine."""

    id = "leaves-neural-engine"
    severity = Severity.WARNING
    rewrite = "compute it from convolutions, slices and element-wise operations; ask Core ML's compute plan on a Mac"

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """See `Rule`."""
        if unit.unit is DeviceUnit.NEURAL_ENGINE:
            for node in graph.nodes:
                if node.kind in LEAVES_NEURAL_ENGINE.kinds:
                    yield Problem(node, f"{node.kind} was seen to leave the unit ({LEAVES_NEURAL_ENGINE.source})")


@dataclass(frozen=True)
class OpenShape:
    """Sizes that are known at run time only: NNAPI refuses them, others plan memory at each change."""

    id = "open-shape"
    severity = Severity.ERROR
    rewrite = "export with fixed sizes, one file for each"

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """See `Rule`."""
        if unit.unit not in _DISPATCHING:
            return
        for node in graph.nodes:
            tensor = graph.result(node)
            if tensor is not None and tensor.is_open:
                yield Problem(node, f"the size of {tensor.name} is not known before it runs")


@dataclass(frozen=True)
class LayoutChange:
    """Transposes: they compute nothing and move every number through memory."""

    id = "layout-change"
    severity = Severity.WARNING
    rewrite = "keep one order of axes from input to output; fold the transpose into the weights beside it"

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """See `Rule`."""
        for node in graph.nodes:
            if node.is_transpose:
                before = graph.producer(node.inputs[0]) if node.inputs else None
                twice = before is not None and before.is_transpose
                yield Problem(node, "two transposes in a row" if twice else f"{node.kind} of {_shape(graph, node)}")


@dataclass(frozen=True)
class TooManyAxes:
    """Tensors of more than four axes, which a GPU delegate and the Neural Engine do not take."""

    id = "too-many-axes"
    severity = Severity.ERROR
    rewrite = "join two axes, and split them where the result is used"

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """See `Rule`."""
        if unit.unit not in (DeviceUnit.GPU, DeviceUnit.NEURAL_ENGINE, DeviceUnit.NNAPI):
            return
        for node in graph.nodes:
            tensor = graph.result(node)
            if tensor is not None and tensor.shape is not None and len(tensor.shape) > 4:
                yield Problem(node, f"{node.kind} makes a tensor of {len(tensor.shape)} axes")


@dataclass(frozen=True)
class Fp16Overflow:
    """Values beyond 65504, the greatest number of 16 bits, on a unit that computes in 16."""

    id = "fp16-overflow"
    severity = Severity.ERROR
    rewrite = "scale the values before they are summed or squared, and back afterwards"

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """See `Rule`."""
        if not unit.computes_in_fp16:
            return
        for node in graph.nodes:
            low, high = graph.ranges.get(node.name, (0.0, 0.0))
            most = max(-low, high)
            if most > _FP16_MOST:
                yield Problem(node, f"{node.kind} reached {most:.3g} on the golden photo; fp16 ends at 65504")


@dataclass(frozen=True)
class Fp16Accumulation:
    """Long sums in 16 bits: n products added one by one round n times.

    Roundings of independent sign add up to u·√(n/3) of the sum's size (u = 2^-11; partial sums grow linearly). What is
    more than a step of an 8-bit picture, 1/255, is told: from n = 194 on.
    """

    id = "fp16-accumulation"
    severity = Severity.WARNING
    rewrite = "split the sum (fewer input channels, separable or smaller kernels), or keep the layer in fp32"

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """See `Rule`."""
        if not unit.computes_in_fp16:
            return
        for node in graph.nodes:
            terms = node.convolution.terms if node.convolution is not None else node.terms
            error = _FP16_STEP * math.sqrt(terms / 3)
            if error > 1 / 255:
                yield Problem(
                    node, f"{node.kind} adds {terms} terms: about {error:.2%} of its size may be lost in fp16"
                )


@dataclass(frozen=True)
class TextureLimit:
    """Tensors whose texture has a side beyond the GPU's greatest: rows times slices of four channels."""

    id = "texture-limit"
    severity = Severity.ERROR
    rewrite = "use smaller tiles, or fewer channels at full size"

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """See `Rule`."""
        if unit.texture is None or unit.unit is not DeviceUnit.GPU or graph.target is not Target.TFLITE:
            return  # how Core ML lays out a tensor on the GPU is not published
        for node in graph.nodes:
            tensor = graph.result(node)
            picture = None if tensor is None else graph.picture(tensor)
            if picture is None:
                continue
            height, width, channels = picture
            side = max(width, height * -(-channels // 4))
            if side > unit.texture.value:
                yield Problem(
                    node, f"{_shape(graph, node)} needs a texture of {side}, the GPU has {unit.texture.value}"
                )


@dataclass(frozen=True)
class OddChannels:
    """Convolutions whose channels do not fill the unit's blocks: the rest is computed on zeros."""

    id = "odd-channels"
    severity = Severity.WARNING
    rewrite = "choose channel counts that are multiples, or join neighbouring layers"

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """See `Rule`."""
        if unit.channels is None:
            return
        block = unit.channels.value
        for node in graph.nodes:
            if node.convolution is None:
                continue
            odd = [count for count in (node.convolution.inputs, node.convolution.outputs) if count % block]
            share = 1 - _filled(node.convolution, block)
            if odd and share:
                text = " and ".join(map(str, odd))
                yield Problem(
                    node, f"{text} channels are no multiple of {block}: {share:.0%} of it is computed on zeros"
                )


@dataclass(frozen=True)
class ShortRows:
    """Tensors whose rows are shorter than what the unit fills them up to."""

    id = "short-rows"
    severity = Severity.WARNING
    rewrite = "let the longest axis be the last: [1, channels, 1, pixels], or tiles whose width fills the row"

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """See `Rule`."""
        if unit.row_bytes is None:
            return
        for node in graph.nodes:
            tensor = graph.result(node)
            if tensor is None or len(tensor.sizes) != 4 or node.convolution is None:
                continue
            row = 2 * tensor.sizes[-1]  # the unit computes in 16 bits
            filled = -(-row // unit.row_bytes.value) * unit.row_bytes.value
            if row * 2 <= filled:
                yield Problem(node, f"rows of {row} bytes are filled up to {filled}")


@dataclass(frozen=True)
class WideDepthwise:
    """Depthwise kernels of more than 25 taps, which leave XNNPACK's fast way (measured: docs/measuring.md, TFLite)."""

    id = "wide-depthwise"
    severity = Severity.WARNING
    rewrite = "compute it in blocks of pixels as a dense kernel, as a pyramid, or separably"

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """See `Rule`."""
        if graph.target is not Target.TFLITE or unit.unit is not DeviceUnit.CPU:
            return
        for node in graph.nodes:
            one = node.convolution
            if one is not None and one.is_depthwise and one.taps > 25:
                yield Problem(node, f"a depthwise kernel of {'×'.join(map(str, one.kernel))}, {one.taps} taps")


@dataclass(frozen=True)
class ExpandedKernel:
    """Dense convolutions of mostly separate channels: a grouped or depthwise one written out, zeros multiplied too."""

    id = "expanded-kernel"
    severity = Severity.WARNING
    rewrite = "export it as a grouped or depthwise convolution, or as a batch of pictures of few channels"

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """See `Rule`."""
        for node in graph.nodes:
            one = node.convolution
            if one is None or one.weights is None or one.groups != 1 or min(one.inputs, one.outputs) < 4:
                continue
            unused = 1 - float(np.mean(_pairs_used(one)))
            if unused >= 0.5:
                yield Problem(node, f"{unused:.0%} of its {one.inputs} × {one.outputs} pairs of channels are zero")


@dataclass(frozen=True)
class ManyOperations:
    """More operations than a unit that is told each one apart should get."""

    id = "many-operations"
    severity = Severity.WARNING
    rewrite = "join element-wise operations on few channels; each is a dispatch of its own"
    most = 100  # what dofkit's own stages aim at for every target

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """See `Rule`."""
        if unit.unit in _DISPATCHING and len(graph.nodes) > self.most:
            kinds = sorted(node.kind for node in graph.nodes)
            counts = sorted(((len(list(group)), kind) for kind, group in groupby(kinds)), reverse=True)
            often = ", ".join(f"{count} {kind}" for count, kind in counts[:3])
            yield Problem(None, f"{len(graph.nodes)} operations ({often} …); at most {self.most} are wanted")


@dataclass(frozen=True)
class WrongOnWebGpu:
    """Convolutions that ONNX Runtime's WebGPU computes wrongly; see `runtime_faults`."""

    id = "wrong-on-webgpu"
    severity = Severity.ERROR
    rewrite = "fill the input channels up to a multiple of 4 with zeros"

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """See `Rule`."""
        if graph.target is not Target.ONNX or unit.unit is not DeviceUnit.WEBGPU:
            return
        for node in graph.nodes:
            one = node.convolution
            if one is not None and wrong_on_webgpu(one.groups, one.inputs // one.groups, one.outputs, one.taps):
                yield Problem(
                    node, f"{one.inputs} → {one.outputs} channels were computed wrongly (onnxruntime-web 1.30.0)"
                )


RULES: tuple[Rule, ...] = (
    UnsupportedOperation(),
    LeavesNeuralEngine(),
    OpenShape(),
    TooManyAxes(),
    TextureLimit(),
    WrongOnWebGpu(),
    Fp16Overflow(),
    Fp16Accumulation(),
    LayoutChange(),
    ManyOperations(),
    OddChannels(),
    ShortRows(),
    WideDepthwise(),
    ExpandedKernel(),
)


def _shape(graph: Graph, node: Node) -> str:
    tensor = graph.result(node)
    return "an unknown size" if tensor is None else "×".join("?" if s is None else str(s) for s in tensor.shape or ())


def _filled(one: Convolution, block: int) -> float:
    """The part of the blocks' products that are not of zeros."""
    if one.is_depthwise:
        return one.outputs / (-(-one.outputs // block) * block)
    return one.inputs / (-(-one.inputs // block) * block) * (one.outputs / (-(-one.outputs // block) * block))


def _pairs_used(one: Convolution) -> np.ndarray:
    """Which input channel each output channel depends on, `[outputs, inputs]`."""
    assert one.weights is not None
    return np.any(one.weights.reshape(*one.weights.shape[:2], -1) != 0, axis=2)

"""The graph of a network that was brought as an ONNX file, between the images and the disparities of the pipeline.

What `train.networks.adapted` and `train.brought.networks` do around a network in PyTorch stands here in ONNX operations
of opset 18, which newer ones have alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.errors import require
from ...runtime_ref.pipeline.aspects import Size
from ...runtime_ref.pipeline.stage import INPUTS, OUTPUTS, Stage
from ...train.brought.onnx_model import OnnxGraph
from ...train.networks.adapted import LEAST_SPAN, LEAST_VALUE
from ...train.networks.contract import Meaning, NetworkContract, Preprocessing
from ..folded import FoldedLayer, NetworkWeights, OtherLayer
from ..stages import StageGraph
from .file import OnnxFile
from .halves import to_halves
from .stored import CONVOLUTIONS, convolutions_of

_PURPOSE = "writing an ONNX file"
_LEAST_NUMBERS = 2
"""Single numbers are an operation's, no layer's: 0.5, an epsilon."""


def whole_model(contract: NetworkContract, size: Size, map_shape: Sequence[int], half: bool = False) -> Any:
    """The file's graph with its pre- and postprocessing.

    Args:
        contract: of a network that was brought as an ONNX file.
        size: (height, width) of the image.
        map_shape: of the file's own map for the image that it takes, [1, 1, h, w].
        half: let the file's graph compute in 16-bit floats; what is added stays in 32.

    Raises:
        DofkitError: it cannot.
    """
    assert contract.onnx is not None, "the contract of an ONNX file"
    onnx = require("onnx", "onnx", _PURPOSE)
    inner = contract.onnx.size or size
    model = contract.onnx.at(inner)
    if half:
        to_halves(model, contract.onnx.path.name)
    before, after = _Operations("prepare"), _Operations("disparity")
    image, disparity = INPUTS[Stage.DEPTH][0].name, OUTPUTS[Stage.DEPTH].name
    value = _normalised(before, image, contract.preprocessing)
    value = _resized(before, value, size, inner, channels=3)
    if contract.onnx.channels_last:
        value = before.add("Transpose", [value], perm=[0, 2, 3, 1])
    value = before.add(
        "Cast", [value], to=onnx.TensorProto.FLOAT16 if half or contract.onnx.half else onnx.TensorProto.FLOAT
    )
    before.end(value, contract.onnx.input)
    found = after.add("Cast", [contract.onnx.output], to=onnx.TensorProto.FLOAT)
    found = after.add("Reshape", [found, after.store(np.array(map_shape, np.int64))])
    found = _resized(after, found, (map_shape[2], map_shape[3]), size, channels=1)
    after.end(
        _spread(after, found) if contract.meaning is Meaning.INVERSE_DEPTH else _inverted(after, found), disparity
    )
    nodes = [*before.nodes, *model.graph.node, *after.nodes]
    del model.graph.node[:], model.graph.input[:], model.graph.output[:], model.metadata_props[:]
    model.graph.node.extend(nodes)
    _name_all(model.graph.node)
    model.graph.initializer.extend([*before.stored, *after.stored])
    kind = onnx.TensorProto.FLOAT
    model.graph.input.append(onnx.helper.make_tensor_value_info(image, kind, [1, 3, *size]))
    model.graph.output.append(onnx.helper.make_tensor_value_info(disparity, kind, [1, 1, *size]))
    return model


def _name_all(nodes: Sequence[Any]) -> None:
    """Give every operation a name of its own: quantisers leave out by names, and a file need not have any."""
    given = Counter(node.name for node in nodes)
    for number, node in enumerate(nodes):
        if not node.name or given[node.name] > 1:
            node.name = f"{node.op_type.lower()}.{number}"


class _Operations:
    """A chain of operations that is being written, with the numbers that it stores."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.nodes: list[Any] = []
        self.stored: list[Any] = []

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Write an operation; the name of its result."""
        onnx = require("onnx", "onnx", _PURPOSE)
        name = f"{self._name}.{len(self.nodes)}.{kind.lower()}"
        self.nodes.append(onnx.helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def store(self, values: NDArray[Any]) -> str:
        """Store a tensor; its name."""
        onnx = require("onnx", "onnx", _PURPOSE)
        name = f"{self._name}.numbers.{len(self.stored)}"
        self.stored.append(onnx.numpy_helper.from_array(values, name))
        return name

    def number(self, value: float) -> str:
        """Store a number."""
        return self.store(np.array(value, np.float32))

    def end(self, value: str, name: str) -> None:
        """Call the last result so."""
        assert self.nodes[-1].output[0] == value, "the last result"
        self.nodes[-1].output[0] = name


def _normalised(to: _Operations, image: str, preprocessing: Preprocessing) -> str:
    if preprocessing == Preprocessing():
        return image
    mean, deviation = (
        to.store(np.array(values, np.float32).reshape(1, 3, 1, 1))
        for values in (preprocessing.mean, preprocessing.deviation)
    )
    return to.add("Div", [to.add("Sub", [image, mean]), deviation])


def _resized(to: _Operations, value: str, size: Size, goal: Size, channels: int) -> str:
    """Bilinearly, as PyTorch does without aligned corners."""
    if size == goal:
        return value
    sizes = to.store(np.array([1, channels, *goal], np.int64))
    return to.add("Resize", [value, "", "", sizes], mode="linear", coordinate_transformation_mode="half_pixel")


def _spread(to: _Operations, inverse: str) -> str:
    """See `train.networks.adapted._spread`."""
    nearest, farthest = _extreme(to, "ReduceMax", inverse), _extreme(to, "ReduceMin", inverse)
    scale = to.add("Max", [to.add("Abs", [nearest]), to.add("Abs", [farthest])])
    least = to.add("Mul", [scale, to.number(LEAST_SPAN)])
    span = to.add("Max", [to.add("Sub", [nearest, farthest]), least, to.number(LEAST_VALUE)])
    return to.add("Div", [to.add("Sub", [inverse, farthest]), span])


def _inverted(to: _Operations, depth: str) -> str:
    """See `train.networks.adapted._inverted`."""
    far = to.add("Max", [_extreme(to, "ReduceMax", depth), to.number(LEAST_VALUE)])
    least = to.add("Max", [to.add("Mul", [far, to.number(LEAST_SPAN)]), to.number(LEAST_VALUE)])
    depth = to.add("Max", [depth, least])
    near = _extreme(to, "ReduceMin", depth)
    span = to.add("Max", [to.add("Sub", [far, near]), least])
    share = to.add("Div", [to.add("Sub", [far, depth]), span])
    return to.add("Mul", [to.add("Div", [near, depth]), share])


def _extreme(to: _Operations, kind: str, value: str) -> str:
    return to.add(kind, [value, to.store(np.array([2, 3], np.int64))], keepdims=1)


def source_of(graph: StageGraph) -> OnnxGraph:
    """The ONNX graph that a stage was brought as."""
    assert graph.onnx is not None, "the graph of an ONNX file"
    assert graph.onnx.onnx is not None, "the contract of one"
    return graph.onnx.onnx


def file_weights(graph: StageGraph) -> NetworkWeights:
    """All that a brought file computes with, as it lies in it."""
    source = source_of(graph)
    file = OnnxFile(source.path, source.model)
    layers = [
        FoldedLayer(each.name, each.weight, np.zeros(len(each.weight)) if each.bias is None else each.bias)
        for each in convolutions_of(file)
    ]
    taken = {name for node in file.nodes if node.op_type in CONVOLUTIONS for name in node.input[1:]}
    return NetworkWeights(layers, _others(file, taken))


def _others(file: OnnxFile, taken: Collection[str]) -> list[OtherLayer]:
    """Stored floats that are no convolution's, by the layers that their names tell."""
    layers: dict[str, dict[str, NDArray[Any]]] = {}
    for name, values in file.floats():
        if name not in taken and values.size >= _LEAST_NUMBERS:
            layer, _, parameter = name.rpartition(".")
            layers.setdefault(layer, {})[parameter] = values.astype(np.float32)
    return [OtherLayer(layer, "layer", parameters) for layer, parameters in layers.items()]

"""A stage as an ONNX file in floats, through PyTorch's dynamo exporter; inputs and outputs are float32."""

from __future__ import annotations

import copy
import io
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import fx

from ...runtime_ref.errors import DofkitError, first_line, require
from ...runtime_ref.quiet import silence
from ...runtime_ref.target import Target
from ...train.brought.onnx_model import OnnxNetwork
from ..refusals import refusing
from ..rewrites.halves import half_but_ends
from ..stages import StageGraph
from .brought import source_of, whole_model
from .file import encoded

OPSET = 18  # the exporter's own; every ONNX Runtime since 1.14 runs it


def convert(graph: StageGraph, path: Path) -> None:
    """Write a stage in float32 as one self-contained file.

    Raises:
        DofkitError: a network that was brought cannot be converted.
    """
    path.write_bytes(encoded(_exported(graph, graph.computed)) if graph.onnx is None else _completed(graph))


def _completed(graph: StageGraph, half: bool = False) -> bytes:
    """The bytes of a brought ONNX file with what it lacks."""
    source, contract = source_of(graph), graph.onnx
    assert contract is not None
    model = whole_model(contract, graph.size, OnnxNetwork(source).map_shape(source.size or graph.size), half)
    try:
        return encoded(model)
    except Exception as error:  # of onnx' checker
        raise DofkitError(
            f"{source.path.name} is no valid ONNX file of one size{' in fp16' if half else ''} "
            f"({first_line(error)[:160]}); "
            + ("give --precision fp32" if half else f"export it again with opset_version={OPSET}")
        ) from error


def convert_half(graph: StageGraph, float32: Path, path: Path) -> None:
    """Write a stage that computes in float16 between float32 inputs and outputs.

    Args:
        graph: the stage.
        float32: its file in float32; its weights are taken, rounded.
        path: the file to write.
    """
    if graph.onnx is not None:
        path.write_bytes(_completed(graph, half=True))
        return
    onnx = require("onnx", "onnx", "exporting to ONNX")
    half = _exported(graph, _halved(graph.computed))
    _take_weights(half, onnx.load(str(float32)))
    path.write_bytes(encoded(half))


class _Half(torch.nn.Module):
    """A network that computes in float16 between float32 inputs and outputs.

    ONNX Runtime's own converter writes invalid graphs here (values produced twice, nodes out of order).
    """

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).half()

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.network(*(values.half() for values in inputs)).float()


def _halved(network: torch.nn.Module) -> torch.nn.Module:
    """A network in float16; the program of one that was brought keeps its ends in float32."""
    return half_but_ends(copy.deepcopy(network)) if isinstance(network, fx.GraphModule) else _Half(network).eval()


def _exported(graph: StageGraph, network: torch.nn.Module) -> Any:
    """A network as an ONNX model."""
    require("onnxscript", "onnx", "exporting to ONNX")
    onnx = require("onnx", "onnx", "exporting to ONNX")
    buffer = io.BytesIO()
    given = network.network if isinstance(network, _Half) else network
    with refusing(graph, given, Target.ONNX), warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            graph.example(),
            dynamo=True,
            opset_version=OPSET,
            input_names=[signal.name for signal in graph.inputs],
            output_names=[graph.output.name],
            verbose=False,
        )
        assert program is not None
        program.save(buffer)  # pyright: ignore[reportArgumentType]  # onnx writes to streams too
    return onnx.load_from_string(buffer.getvalue())


def _take_weights(half: Any, float32: Any) -> None:
    """Give a float16 model the float32 one's convolution weights and biases, rounded at most once, and their names.

    The exporter folds BatchNorm in the network's own type: in float16 the depth network's weights were off by up to
    3 units in the last place and its biases by up to 617, against half a unit for one rounding. And it merges what
    became equal by that, so that weights are taken convolution by convolution and not by name.
    """
    helper = require("onnx.numpy_helper", "onnx", "exporting to ONNX")
    weights = {tensor.name: tensor for tensor in float32.graph.initializer}
    assert _count(half, "BatchNormalization") == _count(float32, "BatchNormalization"), "folded in both"
    types = {tensor.name: helper.to_array(tensor).dtype for tensor in half.graph.initializer}
    taken: dict[str, Any] = {}
    for node, exact in zip(_convolutions(half), _convolutions(float32), strict=True):
        kind = types[node.input[1]]
        del node.input[1:]
        for name in exact.input[1:]:
            # One that is called at the end and before has its numbers in both types.
            own = name if name not in taken or types[name] == kind else f"{name}.{kind}"
            types[own] = kind
            taken[own] = helper.from_array(helper.to_array(weights[name]).astype(kind), own)
            node.input.append(own)
    used = {name for node in half.graph.node for name in node.input}
    others = [tensor for tensor in half.graph.initializer if tensor.name in used and tensor.name not in taken]
    del half.graph.initializer[:]
    half.graph.initializer.extend([*others, *taken.values()])


def _count(model: Any, operation: str) -> int:
    return sum(node.op_type == operation for node in model.graph.node)


def _convolutions(model: Any) -> list[Any]:
    """The convolutions of a model, in the order in which the exporter wrote them."""
    return [node for node in model.graph.node if node.op_type == "Conv"]

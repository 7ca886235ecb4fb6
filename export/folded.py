"""The weights that an exported file must hold: every convolution, in the order of its calls, BatchNorm folded in; and
what other layers compute with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from ..runtime_ref.pipeline.stage import Stage
from ..train.networks.adapted import AdaptedDepth
from .neighbours import Neighbours
from .rewrites.constants import FOLDED, constant_value
from .stages import StageGraph
from .watched import ConvolutionCall, watching

# Converters fold BatchNorm in float32 in an order of their own; relative to a layer's largest value. ONNX files had
# bit for bit the values of `folded_layers`; four roundings are granted.
FOLDING = 2.0**-22
JOINING = 2.0**-17
"""Rounding of a shift that a converter summed over a layer's inputs in float32, relative to the largest."""


@dataclass(frozen=True, eq=False)
class FoldedLayer:
    """One call of a convolution.

    Attributes:
        name: the module's path in the network.
        weight, bias: float32, with a following BatchNorm folded in; no bias is zeros.
        joined: the same with the image's mean and deviation multiplied in, which a converter may do.
        rounding: of the converter's arithmetic, relative to the largest number.
    """

    name: str
    weight: NDArray[Any]
    bias: NDArray[Any]
    joined: FoldedLayer | None = None
    rounding: float = FOLDING


@dataclass(frozen=True, eq=False)
class OtherLayer:
    """A layer that is no convolution, or one whose weights are not used as a convolution's.

    Attributes:
        name: the module's path in the network.
        kind: of the module: "Linear", "LayerNorm" …
        parameters: those that the network computed with, by their names in the module, float32.
        joined: the same with neighbours multiplied in, which a converter may do, float64: of a fully connected layer a
            LayerNorm before it or a scale of its outputs after it; of a constant or a token what the program computes
            of it before it meets the image, as of a table that is spread over all pairs of tokens. Empty where there
            is none.
        joined_into: of such a neighbour, the layers that it may be multiplied into.
    """

    name: str
    kind: str
    parameters: Mapping[str, NDArray[Any]]
    joined: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    joined_into: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class NetworkWeights:
    """All that a network computes with."""

    convolutions: list[FoldedLayer]
    others: list[OtherLayer]

    @property
    def names(self) -> list[str]:
        """Paths of all layers."""
        return [layer.name for layer in (*self.convolutions, *self.others)]


def folded_layers(network: nn.Module, example: tuple[torch.Tensor, ...]) -> list[FoldedLayer]:
    """Every convolution that a network computes, in the order of the calls (a shared one several times)."""
    return network_weights(network, example).convolutions


def network_weights(network: nn.Module, example: tuple[torch.Tensor, ...]) -> NetworkWeights:
    """Run a network once and note the weights that take part."""
    with torch.no_grad(), watching(network) as watched:
        network(*example)
    owners = {id(values): name.rpartition(".")[0] for name, values in network.named_parameters()}
    known = {id(values) for call in watched.convolutions for values in call.tensors}
    return NetworkWeights(
        [_folded(owners.get(id(call.weight), call.module), call) for call in watched.convolutions],
        list(_others(network, watched.used - known, watched.neighbours, owners)),
    )


def weights_at_its_size(graph: StageGraph, of_stages: Mapping[Stage, NetworkWeights]) -> NetworkWeights:
    """What a graph of any size computes with, given `graph_weights` of each stage at one: a rewritten program has
    constants of its size."""
    return graph_weights(graph) if graph.rewritten else of_stages[graph.stage]


def graph_weights(graph: StageGraph) -> NetworkWeights:
    """All that a graph computes with: its network's weights; of a rewritten one those that are left in its program, and
    the constants that others became."""
    weights = network_weights(graph.network, graph.example())
    if not graph.rewritten:
        return weights
    program = graph.computed
    assert isinstance(program, fx.GraphModule)
    left = {str(node.target) for node in program.graph.nodes if node.op == "get_attr"}
    others = [_repeated(layer, program) for each in weights.others if (layer := _left_in(each, left)).parameters]
    others += [
        _repeated(OtherLayer(name, "constant", {name: values.float().numpy()}), program)
        for name, values in program.named_buffers()
        if name.startswith(FOLDED) and values.is_floating_point()
    ]
    convolutions = _with_computed_weights(weights.convolutions, program)
    if convolutions and isinstance(graph.network, AdaptedDepth):
        convolutions[0] = with_preprocessing(convolutions[0], graph.network)
    return NetworkWeights(convolutions, others)


def _repeated(layer: OtherLayer, program: fx.GraphModule) -> OtherLayer:
    """A layer, joined with what a program computes of its numbers before they meet the image: of a table that is spread
    over all pairs of tokens, of a class token that is repeated for every crop. A parameter in another layout is the
    same numbers."""
    if layer.joined:
        return layer
    repeated = {}
    for name, values in layer.parameters.items():
        is_constant = layer.kind == "constant"
        value = constant_value(program, name if is_constant else f"{layer.name}.{name}".lstrip("."))
        if value is not None and (is_constant or value.numel() != values.size):
            repeated[name] = value.double().numpy()
    return replace(layer, joined={**layer.parameters, **repeated}) if repeated else layer


def with_preprocessing(layer: FoldedLayer, network: AdaptedDepth) -> FoldedLayer:
    """The first convolution, and what it becomes where it takes the image itself: b − Σ w · mean / deviation."""
    mean, deviation = (values.double().reshape(1, -1, 1, 1).numpy() for values in (network.mean, network.deviation))
    if layer.weight.shape[1] != mean.shape[1]:
        return layer
    weight = layer.weight / deviation
    bias = layer.bias - (weight * mean).sum((1, 2, 3))
    return replace(layer, joined=FoldedLayer(layer.name, weight, bias, rounding=JOINING))


def _with_computed_weights(layers: list[FoldedLayer], program: fx.GraphModule) -> list[FoldedLayer]:
    """The convolutions of a network as its program computes them: some networks make a convolution's weights of its
    parameters (standardised ones), which then are constants of the program, as scaled ones are."""
    calls = [node for node in program.graph.nodes if node.target is torch.ops.aten.conv2d.default]
    if len(calls) != len(layers):
        return list(layers)
    buffers = dict(program.named_buffers())
    computed = [[buffers.get(str(getattr(each, "target", ""))) for each in [*node.args, None][1:3]] for node in calls]
    return [
        replace(
            layer,
            weight=layer.weight if weight is None else weight.numpy(),
            bias=layer.bias if bias is None else bias.numpy(),
        )
        for layer, (weight, bias) in zip(layers, computed, strict=True)
    ]


def _left_in(layer: OtherLayer, left: Collection[str]) -> OtherLayer:
    """A layer with those of its parameters whose paths are among those left."""
    kept = {name: values for name, values in layer.parameters.items() if f"{layer.name}.{name}".lstrip(".") in left}
    return replace(layer, parameters=kept)


def _others(
    network: nn.Module, used: set[int], neighbours: Neighbours, owners: Mapping[int, str]
) -> Iterator[OtherLayer]:
    """The layers whose own parameters are among those used."""
    for name, module in network.named_modules():
        parameters = {key: each for key, each in module.named_parameters(recurse=False) if id(each) in used}
        if parameters:
            yield OtherLayer(
                name,
                type(module).__name__,
                {key: each.detach().float().numpy() for key, each in parameters.items()},
                neighbours.joined(parameters),
                tuple(sorted(owners[matrix] for matrix in neighbours.joined_into(parameters) if matrix in owners)),
            )


def _folded(name: str, call: ConvolutionCall) -> FoldedLayer:
    weight = _numpy(call.weight)
    bias = np.zeros(len(weight), np.float32) if call.bias is None else _numpy(call.bias)
    if (norm := call.norm) is None:
        return FoldedLayer(name, weight, bias)
    # In this order and in float32, as converters fold; torch's own helper multiplies by a reciprocal root instead and
    # differs in the last bit of every third weight.
    factor = _numpy(norm.scale) / np.sqrt(_numpy(norm.variance) + np.float32(norm.epsilon))
    folded = factor * (bias - _numpy(norm.mean)) + _numpy(norm.shift)
    return FoldedLayer(name, weight * factor[:, None, None, None], folded)


def _numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.detach().numpy()

"""What each exported graph computes: one network at one fixed size, with its tensors' names, shapes and ranges."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch

from ..runtime_ref.bundle import TensorEntry
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.pipeline.aspects import Size, size_text
from ..runtime_ref.pipeline.plan import PipelinePlan
from ..runtime_ref.pipeline.stage import INPUTS, OUTPUTS, Signal, Stage
from ..runtime_ref.target import Target
from ..train.networks.contract import NetworkContract
from ..train.networks.registry import ARCHITECTURES, Architectures
from .rewrites import rewritten


@dataclass(frozen=True)
class StackSize:
    """Of the graph of focal stacks.

    Attributes:
        slices: pictures of a stack.
        size: their height and width in pixels.
    """

    slices: int = 5
    size: Size = (240, 320)


@dataclass(frozen=True)
class StageGraph:
    """A network and the fixed size it is exported at.

    Attributes:
        stage: what it computes.
        network: the PyTorch network, in evaluation mode; arranged for the target, see `NetworkContract.arrange`.
        size: height and width of its low-resolution inputs, in pixels.
        architecture: its name in the registry.
        exact: layers that stay in floats when the others are quantised.
        slices: of a focal stack, where the stage takes one.
        depth: size of the depth network whose disparity the stage takes.
        parts: the stages whose weights it computes with; none: its own.
        rewritten: see `NetworkContract.rewritten`.
        onnx: the contract of a network that was brought as an ONNX file; None: PyTorch's are converted.
    """

    stage: Stage
    network: torch.nn.Module
    size: Size
    architecture: str = ""
    exact: frozenset[str] = frozenset()
    slices: int = 1
    depth: Size | None = None
    parts: tuple[Stage, ...] = ()
    rewritten: bool = False
    onnx: NetworkContract | None = None

    @property
    def trained(self) -> tuple[Stage, ...]:
        """The stages whose weights it computes with."""
        return self.parts or (self.stage,)

    @cached_property
    def computed(self) -> torch.nn.Module:
        """What converters are given: the network, or its exported program after the rewrites, of this size only.

        Raises:
            DofkitError: the network cannot be exported.
        """
        return rewritten(self.network, self.example(), self.stage.value) if self.rewritten else self.network

    def shape(self, signal: Signal) -> tuple[int, int, int, int]:
        """A tensor's shape, `(N, C, H, W)`; N is 1 but for what every slice of a focal stack has."""
        return signal.shape(*self.size, self.slices, self.depth)

    def resized(self, size: Size) -> StageGraph:
        """The same network at another size."""
        return dataclasses.replace(self, size=size)

    @property
    def inputs(self) -> tuple[Signal, ...]:
        """The graph's inputs, in the order of the network's arguments."""
        return INPUTS[self.stage]

    @property
    def output(self) -> Signal:
        """The graph's only output."""
        return OUTPUTS[self.stage]

    def example(self) -> tuple[torch.Tensor, ...]:
        """Inputs to trace with; the values do not matter, none of the networks branches on them."""
        return tuple(torch.full(self.shape(signal), 0.5) for signal in self.inputs)

    def entry(self, signal: Signal, target: Target) -> TensorEntry:
        """A tensor as the target's file declares it."""
        batch, channels, height, width = self.shape(signal)
        shape = (batch, height, width, channels) if target.layout == "NHWC" else (batch, channels, height, width)
        return TensorEntry(
            name=signal.name,
            shape=shape,
            dtype="float32",
            layout=target.layout,  # pyright: ignore[reportArgumentType]
            low=signal.low,
            high=signal.high,
            meaning=signal.meaning,
        )


def stage_graphs(
    networks: Mapping[Stage, torch.nn.Module],
    plan: PipelinePlan,
    target: Target,
    architectures: Architectures = ARCHITECTURES,
    stack: StackSize | None = None,
) -> dict[Stage, StageGraph]:
    """The graphs of all given networks as a target computes them, at the sizes that the plan fixes; the depth network's
    at its first, that of focal stacks at `stack`.

    Raises:
        DofkitError: a network is of no known architecture; see `graph_size`.
    """
    graphs = {}
    for stage, network in networks.items():
        contract = architectures.contract_of(network)
        slices = (stack or StackSize()).slices if stage is Stage.FOCAL_DEPTH else 1
        size = graph_size(contract, plan, target, stack)
        shapes = [signal.shape(*size, slices) for signal in contract.inputs]
        graphs[stage] = StageGraph(
            stage,
            contract.arrange(network, target, shapes),
            size,
            contract.architecture,
            contract.exact_layers(target),
            slices,
            rewritten=contract.rewritten,
            onnx=None if contract.onnx is None else contract,
        )
    return graphs


def graph_size(contract: NetworkContract, plan: PipelinePlan, target: Target, stack: StackSize | None = None) -> Size:
    """The size that a plan fixes for a stage's graph, of depth the first; that of focal stacks is `stack`'s.

    Raises:
        DofkitError: the network's form for the target does not take it.
    """
    if contract.stage is Stage.FOCAL_DEPTH:
        return _stack_size(contract, stack or StackSize())
    tiles = {Stage.LENS_BLUR: plan.lens_blur.tile, Stage.GUIDED_UPSAMPLING: plan.guided_upsampling.tile}
    tile = tiles.get(contract.stage)
    if tile is None and contract.stage is not Stage.DEPTH:
        raise ValueError(f"{contract.stage} cannot be exported untiled: an exported graph has one fixed size")
    size = plan.depth_shape if tile is None else (tile, tile)
    if problem := contract.size_for(target).problem(*size):
        raise DofkitError(f"--tile {tile}: {contract.stage} for {target.title}: {problem}")
    return size


def _stack_size(contract: NetworkContract, stack: StackSize) -> Size:
    least, most = contract.slices
    if not least <= stack.slices <= most:
        raise DofkitError(f"--slices {stack.slices}: {contract.stage} takes {least} to {most}")
    if problem := contract.size.problem(*stack.size):
        raise DofkitError(f"--stack-size {size_text(stack.size)}: {contract.stage}: {problem}")
    return stack.size

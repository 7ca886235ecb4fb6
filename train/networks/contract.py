"""What the rest of dofkit must know of a network, so that no exporter, quantiser or pipeline knows one by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import nn

from ...runtime_ref.enums import TextEnum
from ...runtime_ref.pipeline.aspects import Size
from ...runtime_ref.pipeline.stage import INPUTS, OUTPUTS, Signal, Stage
from ...runtime_ref.target import Target

if TYPE_CHECKING:
    from ..brought.onnx_model import OnnxGraph


class Meaning(TextEnum):
    """What a network's own output stands for. Exported graphs of depth networks give a disparity, whatever this is."""

    DISPARITY = "disparity"  # normalised inverse depth in [0, 1], 1 is nearest
    INVERSE_DEPTH = "inverse_depth"  # of any scale and offset, larger is nearer
    DEPTH = "depth"  # positive, of any scale, larger is farther
    PICTURE = "picture"  # sRGB-encoded, in [0, 1]


@dataclass(frozen=True)
class Preprocessing:
    """What is done to an image in [0, 1] before the network sees it: (image − mean) / deviation, colour by colour.

    It is part of every exported graph: apps always give sRGB-encoded values in [0, 1].
    """

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)


MOST_PIXELS = 2**24
"""Of an image that a network is given: Depth Pro's has a seventh of it. More is a slip, or takes all memory."""


@dataclass(frozen=True)
class SizeRule:
    """The sizes of low-resolution inputs that a network takes, in pixels.

    Attributes:
        multiple: both sides are multiples of this.
        least: neither side is smaller.
        square: both sides are equal.
        usual: (height, width) of the graphs where nobody asks for others; none: dofkit's own usual ones.
        only: there are no others.
    """

    multiple: int = 1
    least: int = 1
    square: bool = False
    usual: tuple[Size, ...] = ()
    only: bool = False

    def problem(self, height: int, width: int) -> str:
        """Why a size is not possible, in words that say which are; empty where it is."""
        if self.only and (height, width) not in self.usual:
            return f"{height}×{width} is not what the network was exported at; it takes {_listed(self.usual)} only"
        if height * width > MOST_PIXELS:
            return f"{height}×{width} is more than 16 megapixels; take a smaller one"
        if self.square and height != width:
            return f"{height}×{width} is not square; the network takes squares only"
        for side in (height, width):
            if side < self.least:
                return f"{side} is too small; the least side is {self.least}"
            if side % self.multiple:
                below = max(side // self.multiple * self.multiple, self.least)
                return f"{side} is no multiple of {self.multiple}; take {below} or {below + self.multiple}"
        return ""


def _listed(sizes: Sequence[Size]) -> str:
    return ", ".join(f"{height}×{width}" for height, width in sizes)


@runtime_checkable
class BringsContract(Protocol):
    """A network that is of no registered architecture and brings its contract itself."""

    contract: NetworkContract


@dataclass(frozen=True)
class Arrangement:
    """A network's function in the form that a target's runtime is fast at.

    Attributes:
        form: makes it of the network, whose weights it takes over; equal up to the order of summation, which a test
            proves for every arrangement there is.
        exact: the form's layers that stay in floats at every precision, where they are not the network's.
        multiple: sides of the form's low-resolution inputs are multiples of this.
    """

    form: Callable[[nn.Module], nn.Module]
    exact: tuple[str, ...] | None = None
    multiple: int = 1


@dataclass(frozen=True)
class NetworkContract:
    """Everything about a network but its weights.

    Attributes:
        architecture: the name that weights files and manifests carry.
        stage: what it computes; with it come the names and ranges of inputs and output.
        size: of its low-resolution inputs.
        halo: low-resolution pixels around an output pixel that it depends on; None: it needs the whole picture.
        align: origins and sizes of tiles are multiples of this.
        preprocessing: what comes before the network in exported graphs.
        meaning: of the network's own output.
        exact: paths of layers that stay in floats at every precision.
        slices: fewest and most slices of a focal stack that it takes.
        fixed: makes the form that exported graphs have for the shapes of their inputs; None: the network itself takes
            every size.
        arrangements: target -> another form; a target that is not named takes the network as it is.
        rewritten: converters are given the network's exported program after `export.rewrites`, not its module: what
            networks of others need that were not written with converters in mind.
        onnx: the graph of a network that was brought as one: it can be exported to ONNX only.
    """

    architecture: str
    stage: Stage
    size: SizeRule = SizeRule()
    halo: int | None = None
    align: int = 1
    preprocessing: Preprocessing = Preprocessing()
    meaning: Meaning = Meaning.PICTURE
    exact: tuple[str, ...] = ()
    slices: tuple[int, int] = (1, 1)
    fixed: Callable[[nn.Module, Sequence[tuple[int, ...]]], nn.Module] | None = None
    arrangements: Mapping[Target, Arrangement] = field(default_factory=dict)
    rewritten: bool = False
    onnx: OnnxGraph | None = None

    @property
    def inputs(self) -> tuple[Signal, ...]:
        """The graph's inputs, in the order of the network's arguments."""
        return INPUTS[self.stage]

    @property
    def output(self) -> Signal:
        """The graph's only output."""
        return OUTPUTS[self.stage]

    def arrange(self, network: nn.Module, target: Target, shapes: Sequence[tuple[int, ...]] = ()) -> nn.Module:
        """The network as files of a target compute it, in the same mode (training or evaluation).

        Args:
            network: of this contract.
            target: whose files.
            shapes: of the inputs, for a network whose form depends on them.
        """
        if self.fixed is not None:
            return self.fixed(network, shapes).train(network.training)
        arrangement = self.arrangements.get(target)
        return network if arrangement is None else arrangement.form(network).train(network.training)

    def size_for(self, target: Target) -> SizeRule:
        """The sizes that files of a target can have: the network's own, as far as its form takes them."""
        arrangement = self.arrangements.get(target)
        multiple = 1 if arrangement is None else arrangement.multiple
        return replace(self.size, multiple=math.lcm(self.size.multiple, multiple))

    def exact_layers(self, target: Target) -> frozenset[str]:
        """Layers of the network as a target computes it that no precision quantises."""
        arrangement = self.arrangements.get(target)
        own = None if arrangement is None else arrangement.exact
        return frozenset(self.exact if own is None else own)

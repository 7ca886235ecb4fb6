"""An exported file as rules see it: operations and tensors, the same words for every target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.target import Target

_TRANSPOSES = ("TRANSPOSE", "Transpose", "transpose")


@dataclass(frozen=True)
class TensorFacts:
    """A tensor that is computed or given.

    Attributes:
        shape: its sizes, None where one is open; None itself where the rank is not known.
        element: the type of its numbers, in lower case.
    """

    name: str
    shape: tuple[int | None, ...] | None
    element: str

    @property
    def is_open(self) -> bool:
        """Whether a size is known at run time only."""
        return self.shape is None or None in self.shape

    @property
    def sizes(self) -> tuple[int, ...]:
        """Its shape, where all is known; else ()."""
        return () if self.is_open else tuple(size for size in self.shape or () if size is not None)


@dataclass(frozen=True, eq=False)
class Convolution:
    """What a convolution multiplies.

    Attributes:
        inputs, outputs: channels.
        kernel: its sides.
        groups: 1 is dense; as many as inputs is depthwise.
        weights: `[outputs, inputs / groups, *kernel]`; None where they are computed.
    """

    inputs: int
    outputs: int
    kernel: tuple[int, ...]
    groups: int
    weights: NDArray[Any] | None = None

    @property
    def taps(self) -> int:
        """Positions of the kernel."""
        return int(np.prod(self.kernel))

    @property
    def terms(self) -> int:
        """Products in a sum."""
        return self.taps * self.inputs // self.groups

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel is filtered by itself."""
        return self.groups == self.inputs > 1


@dataclass(frozen=True)
class Node:
    """An operation.

    Attributes:
        kind: as the file's operation set calls it.
        name: of its first output, which is unique.
        module: the PyTorch module it came from; empty where the file does not tell.
        inputs, outputs: names of tensors, stored ones too.
        convolution: what it multiplies; None for what is no convolution.
        terms: summands of each of its results, where it is a sum over axes; 0 elsewhere.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    module: str = ""
    convolution: Convolution | None = None
    terms: int = 0

    @property
    def is_transpose(self) -> bool:
        """Whether it only moves numbers to another order of axes."""
        return self.kind in _TRANSPOSES


@dataclass(frozen=True)
class Graph:
    """One exported network.

    Attributes:
        target: whose operation set its nodes are of.
        nodes: in order of computation, constants left out.
        tensors: by name, stored ones left out.
        ranges: least and greatest value of the tensors that were measured, by name.
    """

    target: Target
    nodes: tuple[Node, ...]
    tensors: Mapping[str, TensorFacts]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @cached_property
    def _producers(self) -> dict[str, Node]:
        return {name: node for node in self.nodes for name in node.outputs}

    def producer(self, name: str) -> Node | None:
        """What computes a tensor; None for inputs and stored tensors."""
        return self._producers.get(name)

    def result(self, node: Node) -> TensorFacts | None:
        """A node's first output."""
        return self.tensors.get(node.outputs[0]) if node.outputs else None

    def picture(self, tensor: TensorFacts) -> tuple[int, int, int] | None:
        """Height, width and channels of a tensor of four axes, where they are known."""
        if len(tensor.sizes) != 4:
            return None
        _, first, second, third = tensor.sizes
        return (first, second, third) if self.target.layout == "NHWC" else (second, third, first)

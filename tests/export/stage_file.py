"""A small stage converted to float32, to be quantised: what tests of ONNX and TFLite files begin with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import Self

from dofkit.export.ranges import Ranges, measure_ranges
from dofkit.export.stages import StageGraph
from dofkit.runtime_ref.backends.tracers import open_tracer
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target

Values = NDArray[np.float32]


@dataclass(frozen=True)
class StageFile(ABC):
    """A graph, its float32 file, inputs, and the ranges of all that the file computes from them."""

    target: ClassVar[Target]
    seed: ClassVar[int]  # of the inputs

    graph: StageGraph
    float32: Path
    inputs: Mapping[str, Values]
    ranges: Ranges

    @classmethod
    def of(cls, stage: Stage, network: torch.nn.Module, side: int, folder: Path) -> Self:
        """Convert a network that has a stage's inputs and output."""
        graph = StageGraph(stage, network.eval(), (side, side), exact=frozenset(getattr(network, "exact", ())))
        path = folder / f"fp32{cls.target.suffix}"
        cls.convert(graph, path)
        rng = np.random.default_rng(cls.seed)
        inputs = {signal.name: rng.random(graph.shape(signal), np.float32) for signal in graph.inputs}
        return cls(graph, path, inputs, measure_ranges(open_tracer(stage, cls.target, path), [inputs]))

    @staticmethod
    @abstractmethod
    def convert(graph: StageGraph, path: Path) -> None:
        """Write the float32 file."""

    @abstractmethod
    def file(self, precision: Precision, ranges: Ranges | None = None, kept: Collection[str] = ()) -> Path:
        """The stage's file in a precision; integer ones are written anew."""

    @abstractmethod
    def run(self, path: Path) -> Values:
        """The output of one of the graph's files on the inputs, `[1, C, H, W]`."""

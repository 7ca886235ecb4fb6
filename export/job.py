"""What a target's module is given to convert."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime_ref.bundle.golden import GoldenArrays
from ..runtime_ref.pipeline.aspects import Size, size_text
from ..runtime_ref.pipeline.plan import PipelinePlan
from ..runtime_ref.pipeline.stage import TILED, Stage
from ..runtime_ref.target import Precision, Target
from ..train.weights.terms import Terms
from .coreml.options import CoreMLOptions
from .labels import Labels, Stamp, stamp
from .recipe import Recipe
from .stages import StageGraph

if TYPE_CHECKING:
    from .calibration import Calibration


@dataclass(frozen=True)
class Unit:
    """One graph to write: a stage at one input size.

    Attributes:
        name: of its file or function: "depth", "depth_448x320", "lens_blur_256".
        graph: what it computes.
        plan: with its size, for calibration.
        depth_size: of a depth network where it is not the plan's first.
        tile: of another stage where it is not the plan's.
    """

    name: str
    graph: StageGraph
    plan: PipelinePlan
    depth_size: Size | None = None
    tile: int | None = None

    @property
    def is_planned(self) -> bool:
        """Whether its stage has it at the plan's own, or first, size."""
        return self.depth_size is None and self.tile is None


@dataclass(frozen=True)
class Job:
    """The conversion of all stages for one target.

    Attributes:
        target: what for.
        folder: the bundle's; models go to `models/TARGET/` in it.
        plan: the sizes of the graphs.
        graphs: the networks, each at the plan's size; see `units` for those at further ones.
        precisions: every one of them is written.
        golden: what PyTorch computes, for what must be measured while converting.
        calibration: real inputs of the stages, for precisions that need the ranges of activations.
        recipe: which layers mixed models leave in floats.
        coreml: options of one target.
        labels: what the user wants files to say of themselves.
        terms: stage -> what is known of its weights.
        report: called with a line before each piece of work.
    """

    target: Target
    folder: Path
    plan: PipelinePlan
    graphs: Mapping[Stage, StageGraph]
    precisions: tuple[Precision, ...]
    golden: tuple[GoldenArrays, ...]
    calibration: Calibration
    recipe: Recipe | None
    coreml: CoreMLOptions
    report: Callable[[str], None]
    labels: Labels = field(default_factory=Labels)
    terms: Mapping[Stage, Terms] = field(default_factory=dict)

    def units(self, tiles: Sequence[int] = ()) -> Iterator[Unit]:
        """Every graph of the plan, those of one stage after each other, the plan's first size first.

        Args:
            tiles: further sizes of the rendering stages.
        """
        for stage, graph in self.graphs.items():
            plan = self.plan.with_depth(self.plan.depth_shape)
            yield Unit(stage.value, graph, plan)
            for size in self.plan.further_depth_sizes if stage is Stage.DEPTH else ():
                yield Unit(f"{stage}_{size_text(size)}", graph.resized(size), self.plan.with_depth(size), size)
            for tile in tiles if stage in TILED else ():
                yield Unit(f"{stage}_{tile}", graph.resized((tile, tile)), plan.with_tiles(tile), tile=tile)

    def golden_of(self, graph: StageGraph) -> tuple[GoldenArrays, ...]:
        """What PyTorch computes, at the size of a graph."""
        if graph.stage is not Stage.DEPTH:
            return self.golden
        return tuple(arrays.at_depth(graph.size) for arrays in self.golden)

    def kept_float(self, stage: Stage, precision: Precision) -> frozenset[str]:
        """The layers of a stage that a model leaves in floats, by their paths in the PyTorch network."""
        if precision.weight_bits is None:
            return frozenset()
        exact = self.graphs[stage].exact
        if precision is not Precision.MIXED:
            return exact
        assert self.recipe is not None, "refused before: mixed needs a recipe"
        return exact | self.recipe.kept(stage)

    def stamp(self, functions: Mapping[str, StageGraph], precision: Precision, plan: PipelinePlan) -> Stamp:
        """What a file with these functions says of itself."""
        stages = dict.fromkeys(stage for graph in functions.values() for stage in graph.trained)
        terms = [self.terms[stage] for stage in stages if stage in self.terms]
        return stamp(functions, terms, self.labels, precision, plan)

    def inside(self, name: str) -> str:
        """Where a model of this name goes, relative to the bundle; its folder exists then."""
        folder = f"models/{self.target}"
        (self.folder / folder).mkdir(parents=True, exist_ok=True)
        return f"{folder}/{name}{self.target.suffix}"

"""PyTorch as one more session: the reference that every exported file is compared with; and the plan of networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from ..runtime_ref.errors import DofkitError
from ..runtime_ref.pipeline.aspects import USUAL_SIZES, Size, size_text
from ..runtime_ref.pipeline.plan import PipelinePlan, TileSpec
from ..runtime_ref.pipeline.stage import INPUTS, PIPELINE_STAGES, Stage
from .networks.contract import NetworkContract, SizeRule
from .networks.registry import ARCHITECTURES, Architectures
from .weights import SHIPPED, has_weights, load_weights

Array = NDArray[np.floating[Any]]

CORE = 128
"""Pixels of a tile without its halo, in both rendering stages: they divide the levels of most photos with little left
over (the lowest level of a 4:3 photo is 252 to 320 pixels wide), and a tile's maps stay in the cache."""


class Tiled(Protocol):
    """What is known of a rendering network's tiles; a contract is one."""

    @property
    def halo(self) -> int | None: ...

    @property
    def align(self) -> int: ...


class TorchSession:
    """A stage computed by PyTorch in float32 on the CPU; any input size."""

    def __init__(self, stage: Stage, network: torch.nn.Module) -> None:
        self._names = [signal.name for signal in INPUTS[stage]]
        self._network = network.eval()
        self.runtime = f"PyTorch {torch.__version__}"

    def run(self, inputs: Mapping[str, Array]) -> Array:
        with torch.inference_mode():
            return self._network(*(torch.from_numpy(inputs[name]) for name in self._names)).numpy()


def load_networks(
    directory: Path = SHIPPED, stages: tuple[Stage, ...] = PIPELINE_STAGES, architectures: Architectures = ARCHITECTURES
) -> dict[Stage, torch.nn.Module]:
    """The pipeline's networks and those of further `stages`: these from a weights folder, the others from there or else
    as they ship.

    Raises:
        DofkitError: see `load_weights`.
    """
    folders = {
        stage: directory if stage in stages or has_weights(stage, directory) else SHIPPED
        for stage in dict.fromkeys((*PIPELINE_STAGES, *stages))
    }
    return {stage: load_weights(stage, folder, architectures) for stage, folder in folders.items()}


def torch_sessions(networks: Mapping[Stage, torch.nn.Module]) -> dict[Stage, TorchSession]:
    """One session a stage."""
    return {stage: TorchSession(stage, network) for stage, network in networks.items()}


def default_plan(tile: int | None = None, depth_sizes: Sequence[Size] | None = None) -> PipelinePlan:
    """The plan of the networks that dofkit ships; see `plan_of`."""
    return plan_of({stage: ARCHITECTURES.of_stage(stage)[0].contract for stage in PIPELINE_STAGES}, tile, depth_sizes)


def plan_of(
    contracts: Mapping[Stage, NetworkContract], tile: int | None = None, depth_sizes: Sequence[Size] | None = None
) -> PipelinePlan:
    """The plan of networks: their own halos and alignments, with a given tile.

    Args:
        contracts: of all stages.
        tile: side of a tile's low-resolution input in pixels, halo included; None takes each stage's own.
        depth_sizes: (height, width) of the depth network's inputs in pixels; None takes the usual ones, as far as the
            network takes them.

    Raises:
        DofkitError: a network does not take a size.
    """
    (height, width), *further = _depth_sizes(contracts[Stage.DEPTH].size, depth_sizes)
    rendering = {stage: contracts[stage] for stage in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)}
    try:
        tiles = {stage: tile_spec(contract, tile or usual_tile(contract)) for stage, contract in rendering.items()}
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise DofkitError(f"--tile {tile}: {reason}") from error
    for stage, contract in rendering.items():
        side = tiles[stage].tile
        assert side is not None
        if problem := contract.size.problem(side, side):
            raise DofkitError(f"--tile {side}: {stage}: {problem}")
    return PipelinePlan(
        depth_height=height,
        depth_width=width,
        further_depth_sizes=tuple(further),
        lens_blur=tiles[Stage.LENS_BLUR],
        guided_upsampling=tiles[Stage.GUIDED_UPSAMPLING],
    )


def usual_tile(contract: NetworkContract) -> int:
    """The side of a rendering network's tiles where nobody asks for another: the one that it was exported at, else its
    halo around the default core, as far as the network takes it."""
    if contract.size.usual:
        return contract.size.usual[0][0]
    assert contract.halo is not None, "a network that needs the whole picture has no tiles"
    step = math.lcm(contract.size.multiple, contract.align)
    return -(-max(CORE + 2 * contract.halo, contract.size.least) // step) * step


def tile_spec(network: Tiled, tile: int | None = None) -> TileSpec:
    """A rendering network's tiles, by default its halo around the default core."""
    assert network.halo is not None, "a network that needs the whole picture has no tiles"
    return TileSpec(tile=tile or CORE + 2 * network.halo, halo=network.halo, align=network.align)


def _depth_sizes(rule: SizeRule, asked: Sequence[Size] | None) -> list[Size]:
    """The sizes that were asked for, each once, else the usual ones.

    Raises:
        DofkitError: the network does not take one of them, or none of the usual ones.
    """
    own = rule.usual or USUAL_SIZES
    if asked is None and (usual := [size for size in own if not rule.problem(*size)]):
        return usual
    sizes = list(dict.fromkeys(asked or own))
    for size in sizes:
        if problem := rule.problem(*size):
            raise DofkitError(f"--depth-size {size_text(size)}: {problem}")
    return sizes

"""PyTorch as one more session: the reference that every exported file is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..runtime_ref.pipeline.plan import PipelinePlan, TileSpec
from ..runtime_ref.pipeline.stage import INPUTS, Stage
from .networks import GuidedUpsamplingNet, LensBlurNet
from .weights import SHIPPED, has_weights, load_weights

Array = NDArray[np.floating[Any]]

DEPTH_SIZE = 384  # a multiple of 128, so that the stride-16 maps divide into the pyramid pooling's 8 bins
CORE = 128
"""Pixels of a tile without its halo, in both rendering stages: they divide the levels of most photos with little left
over (the lowest level of a 4:3 photo is 252 to 320 pixels wide), and a tile's maps stay in the cache."""


class Tiled(Protocol):
    """What a rendering network says of its tiles."""

    halo: int
    align: int


class TorchSession:
    """A stage computed by PyTorch in float32 on the CPU; any input size."""

    def __init__(self, stage: Stage, network: torch.nn.Module) -> None:
        self._names = [signal.name for signal in INPUTS[stage]]
        self._network = network.eval()
        self.runtime = f"PyTorch {torch.__version__}"

    def run(self, inputs: Mapping[str, Array]) -> Array:
        with torch.inference_mode():
            return self._network(*(torch.from_numpy(inputs[name]) for name in self._names)).numpy()


def load_networks(directory: Path = SHIPPED, stages: tuple[Stage, ...] = tuple(Stage)) -> dict[Stage, torch.nn.Module]:
    """All stages' networks: `stages` from a weights folder, the others from there or else as they ship.

    Raises:
        DofkitError: see `load_weights`.
    """
    folders = {stage: directory if stage in stages or has_weights(stage, directory) else SHIPPED for stage in Stage}
    return {stage: load_weights(stage, folder) for stage, folder in folders.items()}


def torch_sessions(networks: Mapping[Stage, torch.nn.Module]) -> dict[Stage, TorchSession]:
    """One session a stage."""
    return {stage: TorchSession(stage, network) for stage, network in networks.items()}


def default_plan(tile: int | None = None, depth_size: int = DEPTH_SIZE) -> PipelinePlan:
    """The plan of the shipped networks: their halos and alignments, with a given tile.

    Args:
        tile: side of a tile's low-resolution input in pixels, halo included; None takes each stage's own.
        depth_size: side of the depth network's input, a multiple of 128.
    """
    return PipelinePlan(
        depth_size=depth_size,
        lens_blur=tile_spec(LensBlurNet, tile),
        guided_upsampling=tile_spec(GuidedUpsamplingNet, tile),
    )


def tile_spec(network: Tiled | type[Tiled], tile: int | None = None) -> TileSpec:
    """A rendering network's tiles, by default its halo around the default core."""
    return TileSpec(tile=tile or CORE + 2 * network.halo, halo=network.halo, align=network.align)

"""A run of depth from defocus: RGB-D pictures become focal stacks, training, weights, held-out figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from ...runtime_ref.errors import DofkitError
from ..data.focal_stacks import HeldOutStacks, StackSettings, TrainingStacks, read_deep_pictures
from ..networks.focal_depth import FocalDepthConfig, FocalDepthNet
from ..rendering.focus_sweep import SWEEPS
from ..systems.focal_depth import FocalDepthSystem, FocalRecipe, Supervision
from ..trainer import RunSettings, endless_loader, fit, is_main_process, resume_step
from ..weights.focal import FOCAL


@dataclass(frozen=True)
class DfdRequest:
    """What to train, on what.

    Attributes:
        rgbd: folders of photos with depth in metres.
        supervision: "none", or "depth" for the comparison.
        camera: of `SWEEPS`, the usual one.
        usual: share of batches of that camera; the others have one of their own.
        weights: file or folder to start from, not afresh.
        picture_only: leave its depths as they are and teach it to take noise and compression out of the picture.
        batch: samples a step and device.
        size: side of a sample, and longest side of the pictures that it is cut from.
        rate: peak learning rate.
        held_out: pictures that judge, at most.
        workers: processes that prepare samples.
    """

    rgbd: tuple[Path, ...]
    supervision: Supervision = "none"
    camera: str = "nyu"
    usual: float = 0.65
    weights: Path | None = None
    picture_only: bool = False
    batch: int = 4
    size: tuple[int, int] = (128, 320)
    rate: float = 6e-4
    held_out: int = 20
    workers: int = 1


@dataclass(frozen=True)
class DfdRun:
    """What a run left.

    Attributes:
        weights: the file.
        figures: see `systems.focal_depth.FIGURES`; of held-out pictures.
        pictures: how many these are.
    """

    weights: Path
    figures: dict[str, float]
    pictures: int


def train_dfd(request: DfdRequest, settings: RunSettings) -> DfdRun | None:
    """Train and write the weights to `settings.out`.

    Returns:
        None in a process of a distributed run that writes nothing.

    Raises:
        DofkitError: options do not fit, a folder cannot be read, or `settings.out` holds a run already; see `fit`.
    """
    crop, side = request.size
    if crop % FocalDepthNet.multiple or crop > side:
        raise DofkitError(
            f"--size {crop}: samples are squares with a multiple of {FocalDepthNet.multiple} pixels a side, "
            f"cut from pictures of --side {side}; take 128"
        )
    if request.picture_only and request.weights is None:
        raise DofkitError("--picture-only teaches a network whose depths are good already; give it with --weights")
    resume_step(settings)  # refuses a folder in use before minutes go into reading
    training, held = read_deep_pictures(request.rgbd, side)
    torch.manual_seed(settings.seed)  # the network is made here, before `fit` seeds the rest
    network = _network(request)
    depths, sweep = network.config.depths, SWEEPS[request.camera]
    recipe = FocalRecipe(settings.steps, request.supervision, request.picture_only, learning_rate=request.rate)
    system = FocalDepthSystem(network, recipe, sweep)
    stacks = StackSettings(crop, request.batch * settings.devices, depths, request.usual, sweep)
    loader = endless_loader(TrainingStacks(training, stacks, settings.seed), request.batch, settings, request.workers)
    judged = (held or training)[:: max(1, len(held or training) // request.held_out)][: request.held_out]
    figures = fit(system, loader, DataLoader(HeldOutStacks(judged, sweep, depths)), settings)
    return DfdRun(FOCAL.save(network, settings.out), figures, len(judged)) if is_main_process() else None


def _network(request: DfdRequest) -> FocalDepthNet:
    """The one to start from; one that restores no pictures yet gets the layers for it."""
    if request.weights is None:
        return FocalDepthNet(FocalDepthConfig())
    network = FOCAL.load(request.weights).train()
    if network.restoration is not None or not request.picture_only:
        return network
    grown = FocalDepthNet(replace(network.config, restoration=FocalDepthConfig.restoration))
    grown.load_state_dict(network.state_dict(), strict=False)
    return grown.train()

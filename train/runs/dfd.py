"""A run of depth from defocus: RGB-D pictures become focal stacks, training, weights, held-out figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from ...runtime_ref.errors import DofkitError
from ..data.focal_stacks import HeldOutStacks, RecordedStacks, StackSettings, TrainingStacks, read_deep_pictures
from ..data.stack_sets import RecordedStack, find_stacks, split_stacks
from ..networks.focal_depth import FocalDepthConfig, FocalDepthNet
from ..rendering.focus_sweep import SWEEPS
from ..systems.focal_depth import FocalDepthSystem, FocalRecipe, Supervision
from ..trainer import RunSettings, endless_loader, fit, is_main_process, resume_step
from ..weights.focal import FOCAL


@dataclass(frozen=True)
class DfdRequest:
    """What to train, on what.

    Attributes:
        rgbd: folders of photos with depth in metres, which stacks are made of.
        stacks: folders of recorded stacks, see `data.stack_sets`.
        supervision: "none", or "depth" for the comparison.
        camera: of `SWEEPS`, the usual one.
        usual: share of batches of that camera; the others have one of their own.
        weights: file or folder to start from, not afresh.
        batch: samples a step and device.
        size: side of a sample, and longest side of the pictures that it is cut from.
        rate: peak learning rate.
        held_out: pictures that judge, at most.
        workers: processes that prepare samples.
    """

    rgbd: tuple[Path, ...] = ()
    stacks: tuple[Path, ...] = ()
    supervision: Supervision = "none"
    camera: str = "nyu"
    usual: float = 0.65
    weights: Path | None = None
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
    if not (request.rgbd or request.stacks):
        raise DofkitError("nothing to learn from; give --rgbd, photos with depth in metres, or --stacks, focal stacks")
    if request.stacks and request.supervision != "none":
        raise DofkitError("--stacks: what these look like all in focus nobody knows; leave --supervision out")
    resume_step(settings)  # refuses a folder in use before minutes go into reading
    training, held = read_deep_pictures(request.rgbd, side) if request.rgbd else ([], [])
    recorded, judges = _read_stacks(request.stacks, side)
    torch.manual_seed(settings.seed)  # the network is made here, before `fit` seeds the rest
    network = FOCAL.load(request.weights).train() if request.weights else FocalDepthNet(FocalDepthConfig())
    depths, sweep = network.config.depths, SWEEPS[request.camera]
    judged = (held or training)[:: max(1, len(held or training) // request.held_out)][: request.held_out]
    validation = HeldOutStacks(judged, sweep, depths)
    if not judged and judges:
        sweep, judged = judges[0].sweep, judges[: request.held_out]
        validation = RecordedStacks(judged, depths)
    recipe = FocalRecipe(settings.steps, request.supervision, learning_rate=request.rate)
    system = FocalDepthSystem(network, recipe, sweep)
    stacks = StackSettings(crop, request.batch * settings.devices, depths, request.usual, sweep)
    samples = TrainingStacks(training, stacks, settings.seed, recorded)
    loader = endless_loader(samples, request.batch, settings, request.workers)
    figures = fit(system, loader, DataLoader(validation) if judged else None, settings)
    known = {name: value for name, value in figures.items() if not math.isnan(value)}  # recorded stacks have no picture
    return DfdRun(FOCAL.save(network, settings.out), known, len(judged)) if is_main_process() else None


def _read_stacks(folders: Sequence[Path], side: int) -> tuple[list[RecordedStack], list[RecordedStack]]:
    """(training, held out), those that depth is known of."""
    training: list[RecordedStack] = []
    held: list[RecordedStack] = []
    for folder in folders:
        found = find_stacks(folder)
        if not found:
            raise DofkitError(f"{folder}: no focal stacks of DefocusNet's or Mobile-Depth's layout; check the folder")
        for part, stacks in zip((training, held), split_stacks(found), strict=True):
            part += [stack.read(side) for stack in stacks]
    return training, held

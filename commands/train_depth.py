"""`dofkit train depth`: read the folders, train, write the weights, print the held-out figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._options import FiniteFloat, HintedChoice
from ._training import FOLDER, RunOptions, run_options

if TYPE_CHECKING:
    from ..train.data.depth import Scene
    from ..train.data.depth_augment import Share
    from ..train.networks.depth import DepthNet


@click.command()
@click.option("--out", type=FOLDER, required=True, help="Folder of the run: checkpoints, logs, depth.safetensors.")
@click.option(
    "--rgbd",
    type=FOLDER,
    multiple=True,
    help="Image + depth folder: rgb/ with depth/ and scale.csv, or images/ with disparity/ (white is near). "
    "May be given again.",
)
@click.option(
    "--masks",
    type=FOLDER,
    multiple=True,
    help="Image + mask folder: images/ with masks/ (white is the subject). May be given again.",
)
@click.option(
    "--argan",
    type=FOLDER,
    multiple=True,
    help="Set of `dofkit generate argan`; each photo teaches all in focus and through the lens. May be given again.",
)
@click.option(
    "--encoder",
    type=HintedChoice(["mobile", "resnet50"]),
    default="mobile",
    show_default=True,
    help="mobile: about 1 M parameters, ours. resnet50: as in the DeepLens paper.",
)
@click.option("--imagenet", type=FOLDER, help="Local torchvision resnet50 .pth to start the encoder from.")
@click.option(
    "--weights",
    type=FOLDER,
    help="Folder whose depth.safetensors to start from, for instance of a run at a smaller --size.",
)
@click.option("--batch", default=16, show_default=True, help="Samples a step and device.")
@click.option("--size", default=256, show_default=True, help="Side of the training input; a multiple of 128.")
@click.option(
    "--lr",
    "learning_rate",
    type=FiniteFloat(0, min_open=True),
    default=2e-3,
    show_default=True,
    help="Peak learning rate.",
)
@run_options
def command(
    out: Path,
    rgbd: tuple[Path, ...],
    masks: tuple[Path, ...],
    argan: tuple[Path, ...],
    encoder: str,
    imagenet: Path | None,
    weights: Path | None,
    batch: int,
    size: int,
    learning_rate: float,
    run: RunOptions,
) -> None:
    """Train the depth network.

    Three kinds of samples are mixed: photos with depth teach distances, photos with a subject's mask teach that the
    subject stands before its background, and subjects pasted into photos with depth teach crisp edges. Without any
    folder it trains on drawn shapes: a dry run that needs no data. Generated photos (--argan) count as photos with
    depth.

    \b
    A first try, minutes on a laptop:
      dofkit train depth --out runs/try --steps 200 --size 128
    The real thing, coarse to fine:
      dofkit train depth --out runs/128 --rgbd nyu --masks people --size 128
      dofkit train depth --out runs/256 --rgbd nyu --masks people --weights runs/128
    From unlabelled photos alone, which a generator has learned from:
      dofkit train depth --out runs/flowers --argan flowers --size 128

    One part in eight of every folder is held out, in blocks of neighbouring files; the figures at the end are of these
    pictures alone.
    """
    from ..runtime_ref.errors import ensure_installed

    ensure_installed("lightning", "train", "training")
    import torch
    from torch.utils.data import DataLoader

    from ..runtime_ref.pipeline.stage import Stage
    from ..train.data.depth import HeldOut
    from ..train.data.depth_augment import DepthMix
    from ..train.systems.depth import DepthRecipe, DepthSystem
    from ..train.trainer import endless_loader, fit, is_main_process, resume_step
    from ..train.weights import save_weights

    settings = run.settings(out)
    resume_step(settings)  # refuses a folder in use before minutes go into reading
    torch.manual_seed(run.seed)  # the network is made here, before `fit` seeds the rest
    network = _network(encoder, imagenet, weights, size)
    shares, held_out = _read(rgbd, masks, argan, size)
    loader = endless_loader(DepthMix(shares, size, run.seed), batch, settings, run.workers)
    val_loader = DataLoader(HeldOut(held_out, size), batch) if held_out else None
    recipe = DepthRecipe(run.steps, learning_rate=learning_rate)
    figures = fit(DepthSystem(network, recipe), loader, val_loader, settings)
    if is_main_process():
        _report(save_weights(network, Stage.DEPTH, out), figures, len(held_out), run.as_json)


def _network(encoder: str, imagenet: Path | None, weights: Path | None, size: int) -> DepthNet:
    """The network to train, fresh or from a file, once the options are known to fit."""
    from ..runtime_ref.errors import DofkitError
    from ..runtime_ref.pipeline.stage import Stage
    from ..train.networks.depth import SIZE_MULTIPLE, DepthConfig, DepthNet, load_imagenet
    from ..train.networks.depth_encoders import ResNet50Encoder
    from ..train.weights import load_weights

    if size <= 0 or size % SIZE_MULTIPLE:
        raise DofkitError(f"--size must be a multiple of {SIZE_MULTIPLE}, not {size}; take 128, 256 or 384")
    if weights is not None:
        network = load_weights(Stage.DEPTH, weights)
        assert isinstance(network, DepthNet)
        return network.train()
    network = DepthNet(DepthConfig(encoder))  # pyright: ignore[reportArgumentType]
    if imagenet is not None:
        if not isinstance(network.encoder, ResNet50Encoder):
            raise DofkitError("--imagenet fits --encoder resnet50 only; drop one of the two")
        load_imagenet(network.encoder, imagenet)
    return network


def _read(
    rgbd: tuple[Path, ...], masks: tuple[Path, ...], argan: tuple[Path, ...], size: int
) -> tuple[list[Share], list[Scene]]:
    """The mix of training sources and the held-out scenes."""
    from ..train.data.depth import read_generated, read_masks, read_rgbd
    from ..train.data.depth_augment import Share
    from ..train.data.depth_composites import Composites, Drawn

    # crops take part of a picture: twice the input keeps them sharp, more would only slow the reading down
    depth_folders = [read_rgbd(folder, 2 * size) for folder in rgbd]
    depth_folders += [read_generated(folder, 2 * size) for folder in argan]
    mask_folders = [read_masks(folder, 2 * size) for folder in masks]
    held_out = [scene for _, held in depth_folders + mask_folders for scene in held.scenes]
    if not depth_folders and not mask_folders:
        return [Share(Drawn(), 1)], _drawn_held_out()
    shares = [Share(training, 1 / len(depth_folders)) for training, _ in depth_folders]
    shares += [Share(training, 1.2 / len(mask_folders)) for training, _ in mask_folders]
    pairs = [(subjects, scenes) for subjects, _ in mask_folders for scenes, _ in depth_folders]
    shares += [Share(Composites(subjects, scenes), 1.2 / len(pairs)) for subjects, scenes in pairs]
    return shares, held_out


def _drawn_held_out(count: int = 16) -> list[Scene]:
    """Drawn scenes that no training index draws again."""
    import numpy as np

    from ..train.data.depth_composites import Drawn

    return [Drawn().scene(np.random.default_rng((2**31, index))) for index in range(count)]


def _report(path: Path, figures: dict[str, float], pictures: int, as_json: bool) -> None:
    """One table, or the same for machines."""
    from ..train.systems.depth import FIGURES

    if as_json:
        click.echo(json.dumps({"weights": str(path), "held_out_pictures": pictures, "figures": figures}))
        return
    click.echo(f"wrote {path}; {pictures} held-out pictures:")
    for name, value in figures.items():
        click.echo(f"  {name:13} {value:7.4f}  {FIGURES[name]}")

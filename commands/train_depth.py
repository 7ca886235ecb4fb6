"""`dofkit train depth`: read the folders, train, write the weights, print the held-out figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._options import FiniteFloat, choice_option, weights_option
from ._training import FOLDER, RunOptions, count_option, folders_option, run_options

if TYPE_CHECKING:
    from ..train.data.depth import Shape
    from ..train.networks.depth import DepthNet


@click.command()
@click.option("--out", type=FOLDER, required=True, help="Folder of the run: checkpoints, logs, depth.safetensors.")
@folders_option(
    "--rgbd",
    "Photos with depth, of any kind that `dofkit data formats` lists.",
)
@folders_option("--masks", "Photos with masks: images/ with masks/ (white is the subject).")
@folders_option("--standing", "Like --masks, of subjects that stand on the ground, as people in the street do.")
@folders_option("--argan", "Set of `dofkit generate argan`; each photo teaches all in focus and through the lens.")
@folders_option("--photos", "Photos that cover grounds, walls and pages of built scenes.")
@choice_option(
    "--encoder",
    ["efficientnet_lite0", "efficientnet_lite2", "resnet50"],
    "lite0: for phones, 3.3 M parameters with the decoder. resnet50: as in the DeepLens paper.",
)
@click.option(
    "--imagenet",
    type=FOLDER,
    help="ImageNet state dict (.pth) to start the encoder from; by default that of the installed package.",
)
@click.option("--scratch", is_flag=True, help="Start from nothing instead.")
@weights_option("Folder whose depth.safetensors to start from, for instance of a run at a smaller --size.")
@count_option("--batch", 8, "Samples a step and device.")
@count_option("--size", 256, "Side of a square of as many pixels as the input has.")
@click.option(
    "--aspect", "aspects", multiple=True, help="Width:height of inputs, mixed. May be given again. [1:1, 3:4, 4:3]"
)
@click.option(
    "--known", type=FiniteFloat(0, min_open=True), default=2.0, show_default=True,
    help="How often photos with depth are drawn; photos with masks: 0.7.",
)  # fmt: skip
@click.option(
    "--eight-bits", is_flag=True, help="Round as integer runtimes do, for exports in 8 bits: in the last run."
)
@click.option(
    "--lr", "learning_rate", type=FiniteFloat(0, min_open=True), default=1e-3, show_default=True,
    help="Peak learning rate.",
)  # fmt: skip
@run_options
def command(
    out: Path,
    rgbd: tuple[Path, ...],
    masks: tuple[Path, ...],
    standing: tuple[Path, ...],
    argan: tuple[Path, ...],
    photos: tuple[Path, ...],
    encoder: str,
    imagenet: Path | None,
    scratch: bool,
    weights: Path | None,
    batch: int,
    size: int,
    aspects: tuple[str, ...],
    known: float,
    eight_bits: bool,
    learning_rate: float,
    run: RunOptions,
) -> None:
    """Train the depth network.

    Photos with depth teach distances; photos with a subject's mask teach that it stands before its background, and on
    the ground; composites of both, and scenes built from pictures alone, teach crisp edges. Without any folder it
    trains on built scenes: a dry run that needs no data. Generated photos (--argan) count as photos with depth.

    \b
    A first try, minutes on a laptop:
      dofkit train depth --out runs/try --steps 200 --size 128 --scratch
    The real thing, coarse to fine:
      dofkit train depth --out runs/256 --rgbd nyu --standing people --masks things
      dofkit train depth --out runs/384 --rgbd nyu --standing people --masks things --size 384 --weights runs/256 \\
        --lr 3e-4 --eight-bits
    From unlabelled photos alone, which a generator has learned from:
      dofkit train depth --out runs/flowers --argan flowers

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
    from ..train.data.depth_sources import Kinds, SourceFolders, read_sources
    from ..train.networks.efficientnet_lite import EfficientNetLite
    from ..train.networks.rounding import learn_rounding, settle
    from ..train.systems.depth import DepthRecipe, DepthSystem
    from ..train.trainer import endless_loader, fit, is_main_process, resume_step
    from ..train.weights import save_weights

    settings = run.settings(out)
    resume_step(settings)  # refuses a folder in use before minutes go into reading
    shapes = _shapes(size, aspects or ("1:1", "3:4", "4:3"))
    torch.manual_seed(run.seed)  # the network is made here, before `fit` seeds the rest
    network = _network(encoder, imagenet, scratch, weights)
    if eight_bits:
        learn_rounding(network)
    # crops take part of a picture: half as much again as the input keeps them sharp, more would only slow reading down
    folders = SourceFolders(rgbd, masks, standing, argan, photos)
    sources = read_sources(folders, 3 * size // 2, Kinds(known=known))
    mix = DepthMix(sources.shares, shapes, batch * settings.devices, run.seed)
    loader = endless_loader(mix, batch, settings, run.workers)
    recipe = DepthRecipe(run.steps, learning_rate=learning_rate, frozen_statistics=not scratch)
    figures = fit(DepthSystem(network, recipe), loader, DataLoader(HeldOut(sources.held_out, shapes)), settings)
    if eight_bits:
        settle(network)
    if isinstance(network.encoder, EfficientNetLite):
        network.encoder.silence_dead()
    if is_main_process():
        _report(save_weights(network, Stage.DEPTH, out), figures, len(sources.held_out), run.as_json)


def _shapes(size: int, aspects: tuple[str, ...]) -> list[Shape]:
    """Of the inputs, once the options are known to fit."""
    from ..runtime_ref.errors import DofkitError
    from ..runtime_ref.pipeline.aspects import STRIDE
    from ..train.data.depth_sources import shapes

    if size < 2 * STRIDE:
        raise DofkitError(f"--size must be at least {2 * STRIDE}, not {size}; take 256 or 384")
    try:
        return shapes(size, aspects)
    except ValueError:
        raise DofkitError(f"--aspect {' '.join(aspects)}: give each as width:height, for instance 3:4") from None


def _network(encoder: str, imagenet: Path | None, scratch: bool, weights: Path | None) -> DepthNet:
    """The network to train, fresh, from ImageNet or from a run."""
    from ..runtime_ref.errors import DofkitError
    from ..runtime_ref.pipeline.stage import Stage
    from ..train.networks.depth import DepthConfig, DepthNet
    from ..train.networks.depth_encoders import ResNet50Encoder, load_resnet
    from ..train.networks.efficientnet_lite import installed_weights, load_imagenet
    from ..train.weights import load_weights

    if weights is not None:
        network = load_weights(Stage.DEPTH, weights)
        assert isinstance(network, DepthNet)
        return network.train()
    network = DepthNet(DepthConfig(encoder))  # pyright: ignore[reportArgumentType]
    if scratch:
        return network
    if isinstance(network.encoder, ResNet50Encoder):
        if imagenet is None:
            raise DofkitError("--encoder resnet50 needs --imagenet, a local torchvision resnet50 .pth, or --scratch")
        load_resnet(network.encoder, imagenet)
    else:
        load_imagenet(network.encoder, imagenet or installed_weights(encoder))
    return network


def _report(path: Path, figures: dict[str, float], pictures: int, as_json: bool) -> None:
    """One table, or the same for machines."""
    from ..train.systems.depth import FIGURES

    if as_json:
        click.echo(json.dumps({"weights": str(path), "held_out_pictures": pictures, "figures": figures}))
        return
    click.echo(f"wrote {path}; {pictures} held-out pictures:")
    for name, value in figures.items():
        click.echo(f"  {name:13} {value:7.4f}  {FIGURES[name]}")

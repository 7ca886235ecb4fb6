"""`dofkit train`: the group of training commands, each loaded only when it runs."""

from __future__ import annotations

import click

from ._lazy import LazyGroup

SYSTEMS = {
    "render": ("train_render", "Train lens blur and guided upsampling on synthetic scenes."),
    "depth": ("train_depth", "Train the depth network on image + depth and image + mask folders."),
    "dfd": ("train_dfd", "Learn depth from the blur of focal stacks, without any depth to learn from."),
    "pix2pix": ("train_pix2pix", "Train Pix2Pix from photo to disparity, the comparison of the depth network."),
    "argan": ("train_argan", "Learn depth and depth of field from unlabelled photos (AR-GAN)."),
    "cyclegan": ("train_cyclegan", "Train a CycleGAN from deep to shallow photos, the comparison of AR-GAN."),
}


@click.group(cls=LazyGroup, lines=SYSTEMS)
def command() -> None:
    """Train the networks (needs the extra `train`). Interrupted runs go on where they stopped with --resume."""

"""`dofkit evaluate`: the group of commands that measure networks, each loaded only when it runs."""

from __future__ import annotations

import click

from ._lazy import LazyGroup

SYSTEMS = {
    "render": ("evaluate_render", "Score lens blur and guided upsampling beside classical renderers."),
    "depth": ("evaluate_depth", "Score depth networks on photos whose depth or subject is known."),
    "dfd": ("evaluate_dfd", "Score depth and all-in-focus pictures of focal stacks."),
    "argan": ("evaluate_argan", "Score what generators learned of depth from unlabelled photos."),
}


@click.group(cls=LazyGroup, lines=SYSTEMS)
def command() -> None:
    """Measure networks where the truth is known (needs the extras `train` and `report`)."""

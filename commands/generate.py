"""`dofkit generate`: the group of commands that make data, each loaded only when it runs."""

from __future__ import annotations

import click

from ._lazy import LazyGroup

KINDS = {
    "argan": ("generate_argan", "Let a generator make photos that come with their depth."),
    "scenes": ("generate_scenes", "Compose scenes whose depth of field is known exactly."),
}


@click.group(cls=LazyGroup, lines=KINDS)
def command() -> None:
    """Make data to train and judge networks with (needs the extra `train`)."""

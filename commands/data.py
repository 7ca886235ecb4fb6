"""`dofkit data`: the group of commands that look at data, each loaded only when it runs."""

from __future__ import annotations

import click

from ._lazy import LazyGroup

COMMANDS = {
    "inspect": ("data_inspect", "Say what an image + depth folder holds, and which pairs look wrong."),
    "formats": ("data_formats", "List the kinds of sources that are recognised."),
}


@click.group(cls=LazyGroup, lines=COMMANDS)
def command() -> None:
    """Look at image + depth and image + mask data."""

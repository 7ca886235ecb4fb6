"""`dofkit devices`: what is known of devices that a bundle may run on."""

from __future__ import annotations

import click

from ._lazy import LazyGroup


@click.group(
    cls=LazyGroup,
    lines={
        "list": ("devices_list", "List the profiles of devices."),
        "show": ("devices_show", "Show a profile, every figure with its source."),
    },
)
def command() -> None:
    """Profiles of devices: chip, units, formats and precisions, from public documents."""

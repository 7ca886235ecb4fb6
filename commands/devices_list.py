"""`dofkit devices list`: the profiles."""

from __future__ import annotations

import click

from ._options import json_option


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the profiles of devices. What no public document says stays empty."""
    from ..devices.profile import names, profile
    from . import _console, _device_tables

    profiles = {name: profile(name) for name in names()}
    if as_json:
        _console.print_json({name: one.model_dump(mode="json", exclude_none=True) for name, one in profiles.items()})
    else:
        _device_tables.print_profiles(profiles)

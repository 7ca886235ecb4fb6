"""`dofkit devices show`: a profile."""

from __future__ import annotations

import click

from ._options import json_option


@click.command()
@click.argument("name")
@json_option
def command(name: str, as_json: bool) -> None:
    """Show the profile NAME (`dofkit devices list`), or one in a TOML file of your own."""
    from ..devices.profile import profile
    from . import _console, _device_tables

    found = profile(name)
    if as_json:
        _console.print_json(found.model_dump(mode="json", exclude_none=True))
    else:
        _device_tables.print_profile(found)

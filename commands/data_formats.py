"""`dofkit data formats`: the layouts that are recognised, and what their values mean."""

from __future__ import annotations

import click

from ._options import json_option


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the kinds of image + depth and image + mask sources that dofkit recognises.

    The first that fits is taken. For any other layout write an index.csv beside the files, with the columns name,
    image, depth, kind, scale, offset; kind is disparity8 (white is near) or depth16 (metres = scale · value, 0 is
    unknown).
    """
    from ..train.data.rgbd import FORMATS
    from . import _console

    if as_json:
        _console.print_json([{"name": f.name, "title": f.title, "declares": f.declares} for f in FORMATS])
        return
    from rich.table import Table

    table = Table(title="Image + depth and image + mask sources", title_justify="left")
    for name in ("name", "recognised by", "values"):
        table.add_column(name)
    for form in FORMATS:
        table.add_row(form.name, form.title, form.declares)
    _console.stdout().print(table)

"""`dofkit data inspect`: what a folder holds, its ranges and holes, pairs that look wrong, and a contact sheet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._options import json_option
from ._training import FOLDER

if TYPE_CHECKING:
    from ..train.data.rgbd.inspection import SetFacts

LISTED = 20
"""Suspicious pairs named in the terminal, a set."""


@click.command()
@click.argument("path", type=FOLDER, metavar="DIR")
@click.option("--sheet", type=FOLDER, help="Write a contact sheet of photos, maps and edges here (PNG).")
@click.option(
    "--shown", type=click.IntRange(1), default=24, show_default=True, help="Pairs of each set on the contact sheet."
)
@json_option
def command(path: Path, sheet: Path | None, shown: int, as_json: bool) -> None:
    """Say what the image + depth or image + mask folder DIR holds; a phone's portrait photo is a set, too.

    Listed are pairs whose map seems inverted, misaligned, mirrored or turned, is of one value or of another aspect, has
    nothing known or a doubtful unit. These are hints: look at the sheet, where the edges of each map are drawn in red
    over its photo.

    \b
    Examples:
        dofkit data inspect nyu --sheet nyu.png
        dofkit data inspect portrait.heic --json

    Exit code 1 if a pair cannot be read.
    """
    from ..runtime_ref.errors import DofkitError
    from ..runtime_ref.files import check_folder, write_file
    from ..train.data.rgbd import survey
    from ..train.data.rgbd.inspection import inspect_set
    from ..train.data.rgbd.sheet import contact_sheet
    from . import _console

    if sheet is not None:
        if sheet.suffix.lower() != ".png":
            raise DofkitError(f"--sheet {sheet}: contact sheets are PNG; end the name with .png")
        check_folder(sheet)
    sets = []
    with _console.progress() as display:
        for found in survey(path):
            bar = display.add_task(f"{found.folder.name}: pairs read", total=len(found))
            sets.append(inspect_set(found, lambda done, bar=bar: display.update(bar, completed=done)))
    if sheet is not None:
        write_file(sheet, contact_sheet(sets, shown))
    if as_json:
        _console.print_json({"sheet": None if sheet is None else str(sheet), "sets": [one.facts() for one in sets]})
    else:
        _print(sets, sheet)
    if any(pair.error for one in sets for pair in one.pairs):
        sys.exit(1)


def _print(sets: list[SetFacts], sheet: Path | None) -> None:
    """A table of the sets, then what looks wrong."""
    from rich.table import Table

    from . import _console

    table = Table(title="Image + depth data", title_justify="left")
    for name, justify in (("folder", "left"), ("read as", "left"), ("pairs", "right"), ("known", "right")):
        table.add_column(name, justify=justify, no_wrap=name != "read as")  # pyright: ignore[reportArgumentType]
    table.add_column("range (2 %, median, 98 %)", justify="right", no_wrap=True)
    table.add_column("suspicious", justify="right")
    for one in sets:
        form = one.found.format
        span = "–" if one.range is None else " … ".join(f"{value:.3g}" for value in one.range)
        row = (one.found.folder.name, f"{form.title}: {form.declares}", str(len(one.pairs)), f"{one.known:.0%}", span)
        table.add_row(*row, str(len(one.suspicious)))
    console = _console.stdout()
    console.print(table)
    for one in sets:
        if one.warning:
            console.print(f"{one.found.folder.name}: {one.warning}", markup=False)
        for pair in one.suspicious[:LISTED]:
            console.print(
                f"{one.found.folder.name} {pair.name}: {pair.error or '; '.join(pair.suspicions)}", markup=False
            )
        if len(one.suspicious) > LISTED:
            console.print(f"{one.found.folder.name}: and {len(one.suspicious) - LISTED} more (--json lists all)")
    if sheet is not None:
        console.print(f"wrote {sheet}", markup=False)

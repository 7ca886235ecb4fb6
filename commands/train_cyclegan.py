"""`dofkit train cyclegan`: read or draw two unpaired sets, train, write the translator and a sheet, print figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._options import FiniteFloat
from ._training import FOLDER, RunOptions, count_option, folders_option, run_options

if TYPE_CHECKING:
    from ..train.runs.cyclegan import CycleganRun


@click.command()
@click.option("--out", type=FOLDER, required=True, help="Folder of the run: checkpoints, logs, cyclegan.safetensors.")
@folders_option("--deep", "Folder of photos in which all is sharp.")
@folders_option("--shallow", "Folder of photos with a blurred background.")
@count_option("--size", 64, "Side of the pictures in pixels, a multiple of 4.")
@click.option("--width", type=click.IntRange(4), default=24, show_default=True, help="Channels at full size.")
@click.option("--blocks", type=click.IntRange(0), default=4, show_default=True, help="Residual blocks at a quarter.")
@count_option("--batch", 4, "Pictures of each set a step.")
@click.option(
    "--lr",
    "rate",
    type=FiniteFloat(0, min_open=True),
    default=2e-4,
    show_default=True,
    help="Learning rate; it falls in the second half.",
)
@click.option(
    "--cycle", type=FiniteFloat(0), default=10.0, show_default=True, help="Weight of coming back to the same picture."
)
@click.option(
    "--identity",
    type=FiniteFloat(0),
    default=5.0,
    show_default=True,
    help="Weight of leaving a picture of the goal's set as it is.",
)
@click.option(
    "--drawn", type=click.IntRange(1), default=2000, show_default=True, help="Photos of each set, without folders."
)
@count_option("--held-out", 64, "Photos of the validation.")
@run_options
def command(
    out: Path,
    deep: tuple[Path, ...],
    shallow: tuple[Path, ...],
    size: int,
    width: int,
    blocks: int,
    batch: int,
    rate: float,
    cycle: float,
    identity: float,
    drawn: int,
    held_out: int,
    run: RunOptions,
) -> None:
    """Train a translator from deep to shallow photos on two sets without pairs.

    It is what AR-GAN is compared with: a CycleGAN is told which photos are deep and which are shallow, but nothing of
    depth or of a lens. Without folders both sets are drawn, of different scenes.

    \b
    A first try, minutes on a laptop:
      dofkit train cyclegan --out runs/try --size 32 --width 8 --steps 500 --drawn 200
    The real thing:
      dofkit train cyclegan --out runs/cyclegan --deep phone --shallow camera --size 128

    Of every photo the square in the middle is taken. Drawn photos are judged on held-out pairs, whose truth is known,
    against the deep photo as it is. Of folders one deep photo in ten is held out, at most --held-out of them; what the
    lens would have made of it is unknown, so look at sheet.png: deep | ours | back.
    """
    from ..runtime_ref.errors import ensure_installed

    ensure_installed("lightning", "train", "training")
    from ..train.networks.cyclegan import TranslatorConfig
    from ..train.runs.cyclegan import CycleganRequest, train_cyclegan, unpaired_sets
    from ..train.systems.cyclegan import CycleganRecipe
    from ._console import progress

    recipe = CycleganRecipe(run.steps, rate, cycle=cycle, identity=identity)
    network = TranslatorConfig(width, blocks)
    request = CycleganRequest(recipe, network, deep, shallow, size, batch, drawn, held_out, run.workers)
    settings = run.settings_of_two(out)
    with progress() as display:
        bar = display.add_task("photos", total=None if deep else 2 * drawn)
        sets = unpaired_sets(request, settings, lambda done: display.update(bar, completed=done))
    if (found := train_cyclegan(request, settings, sets)) is not None:
        _report(found, run.as_json)


def _report(found: CycleganRun, as_json: bool) -> None:
    """The files, then the held-out figures; or the same for machines."""
    from ..train.systems.cyclegan import FIGURES

    if as_json:
        files = {"weights": str(found.weights), "sheet": str(found.sheet)}
        click.echo(json.dumps({**files, "held_out": found.held_out, "figures": found.figures}))
        return
    click.echo(f"wrote {found.weights}; to look at: {found.sheet}")
    click.echo(f"held out: {found.held_out} photos")
    for name, meaning in FIGURES.items():
        if name in found.figures:
            click.echo(f"  {name:<14} {found.figures[name]:8.4f}  {meaning}")

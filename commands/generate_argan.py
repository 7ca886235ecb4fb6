"""`dofkit generate argan`: a folder of generated photos with their depth, to train other networks with."""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FiniteFloat, json_option
from ._training import FOLDER, mapper_from, ray_option, workers_option


@click.command()
@click.option("--out", type=FOLDER, required=True, help="Folder of the set.")
@click.option("--count", type=click.IntRange(1), default=1000, show_default=True, help="Photos in all.")
@click.option(
    "--weights",
    type=FOLDER,
    help="argan.safetensors, or the folder of a `dofkit train argan` run.  [default: the generator that dofkit brings]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Photo n depends on it and n alone.")
@click.option(
    "--aperture",
    type=FiniteFloat(0, 1),
    help="Of every photo, 0 is all in focus, 1 fully open.  [default: drawn for each as in the generator's training]",
)
@workers_option
@ray_option
@json_option
def command(
    out: Path,
    count: int,
    weights: Path | None,
    seed: int,
    aperture: float | None,
    workers: int,
    ray: str | None,
    as_json: bool,
) -> None:
    """Let a generator make photos of things that do not exist, with their depth.

    Each photo is there twice, all in focus (images/) and through a lens (shallow/), with one disparity for both. The
    generator has learned depth from the blur of photos alone, so that disparity is 1/depth up to a scale and shift that
    nobody knows, and as wrong as the generator is. Look at sheet.png first.

    \b
    A first look, seconds:
      dofkit generate argan --out try --count 12
    A set to train with, and two ways to do so:
      dofkit generate argan --out flowers --count 5000 --weights runs/argan
      dofkit train depth --out runs/depth --argan flowers
      dofkit train render --out runs/render --argan flowers --levels 2

    The same options give the same photos, whatever the number of workers. A stopped run goes on when given the same
    options again; a larger --count adds to the set.
    """
    from ..runtime_ref.errors import ensure_installed

    ensure_installed("torch", "train", "generating photos")
    from ..train.data.generated_set import settings_of, write_generated, write_sheet
    from ..train.weights.generative import GENERATOR, SHIPPED
    from ._console import print_json, progress

    mapper = mapper_from(workers, ray)
    file = weights or SHIPPED
    network = GENERATOR.load(file)
    settings = settings_of(network, file, seed, aperture)
    with progress() as display:
        bar = display.add_task("photos", total=count)
        photos = write_generated(out, network, settings, count, mapper, lambda n: display.update(bar, completed=n))
    write_sheet(photos, out / "sheet.png")
    if as_json:
        print_json({"folder": str(out), "photos": len(photos), "settings": settings.model_dump()})
    else:
        click.echo(f"{len(photos)} photos of {settings.size} pixels in {out}; to look at them: {out / 'sheet.png'}")

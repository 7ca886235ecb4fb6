"""`dofkit train dfd`: depth from defocus, learned from the blur alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._options import FiniteFloat, choice_option
from ._training import FOLDER, RunOptions, count_option, run_options

if TYPE_CHECKING:
    from ..train.runs.dfd import DfdRun

# `SWEEPS`, which is not imported for --help.
CAMERAS = ("nyu", "nyu-wide", "nyu-100", "defocusnet", "mobile")


@click.command()
@click.option("--out", type=FOLDER, required=True, help="Folder of the run: checkpoints, logs, dfd.safetensors.")
@click.option(
    "--rgbd", type=FOLDER, multiple=True,
    help="Photos with depth in metres, of any kind that `dofkit data formats` lists: what stacks are made of. May be "
    "given again.",
)  # fmt: skip
@click.option(
    "--stacks", type=FOLDER, multiple=True,
    help="Focal stacks in the layout of DefocusNet, FoD500 or Mobile-Depth. May be given again.",
)  # fmt: skip
@choice_option(
    "--supervision",
    ["none", "depth"],
    "none: depth is never looked at, the stack must come out again. depth: the comparison, told depth and picture.",
)
@choice_option("--camera", CAMERAS, "Of most stacks and of those that judge; nyu is 50 mm at f/8 from 1 to 6 m.")
@click.option(
    "--usual", type=FiniteFloat(0, 1), default=0.65, show_default=True,
    help="Share of batches taken so; the others have cameras, distances and lengths of their own.",
)  # fmt: skip
@click.option("--weights", type=FOLDER, help="dfd.safetensors, or the folder of a run, to start from.")
@count_option("--batch", 4, "Samples a step and device.")
@count_option("--size", 128, "Side of a sample in pixels.")
@count_option("--side", 320, "Longer side of the pictures that samples are cut from.")
@click.option(
    "--lr", "rate", type=FiniteFloat(0, min_open=True), default=6e-4, show_default=True, help="Peak learning rate."
)
@run_options
def command(
    out: Path,
    rgbd: tuple[Path, ...],
    stacks: tuple[Path, ...],
    supervision: str,
    camera: str,
    usual: float,
    weights: Path | None,
    batch: int,
    size: int,
    side: int,
    rate: float,
    run: RunOptions,
) -> None:
    """Learn depth from focal stacks that nobody measured.

    A camera that is focused at several distances blurs each thing by what its distance says. The network is asked for a
    depth and a picture that give the same stack again when they are seen through the same lens. Stacks are rendered
    from photos with depth; the depth itself is not looked at, but with --supervision depth.

    \b
    A first try, minutes on a laptop:
      dofkit train dfd --out runs/try --rgbd nyu --steps 50
    The comparison with supervision, of as many steps:
      dofkit train dfd --out runs/told --rgbd nyu --steps 50 --supervision depth

    One part in eight of every folder is held out, in blocks of neighbouring files; the figures at the end are of these
    pictures alone, blurred by discs. `dofkit evaluate dfd` judges by yet another renderer.
    """
    from ..runtime_ref.errors import ensure_installed

    ensure_installed("lightning", "train", "training")
    from ..train.runs.dfd import DfdRequest, train_dfd

    request = DfdRequest(
        rgbd,
        stacks,
        supervision,  # pyright: ignore[reportArgumentType]  # one of the option's words
        camera,
        usual,
        weights,
        batch,
        (size, side),
        rate,
        workers=run.workers,
    )
    done = train_dfd(request, run.settings(out))
    if done is not None:
        _report(done, run.as_json)


def _report(done: DfdRun, as_json: bool) -> None:
    """One table, or the same for machines."""
    from ..train.systems.focal_depth import FIGURES

    if as_json:
        click.echo(
            json.dumps({"weights": str(done.weights), "held_out_pictures": done.pictures, "figures": done.figures})
        )
        return
    click.echo(f"wrote {done.weights}; {done.pictures} held-out pictures:")
    for name, value in done.figures.items():
        click.echo(f"  {name:16} {value:7.4f}  {FIGURES[name]}")

"""`dofkit train render`: compose scenes, train both rendering networks, write their weights, print held-out figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._options import FiniteFloat, HintedChoice, choice_option, weights_option
from ._training import FOLDER, RunOptions, count_option, folders_option, masks_option, photos_option, run_options

if TYPE_CHECKING:
    from ..train.runs.render import RenderRun


@click.command()
@click.option("--out", type=FOLDER, required=True, help="Folder of the run: checkpoints, logs, scenes, weights.")
@photos_option
@masks_option
@folders_option("--argan", "Set of `dofkit generate argan` to train with instead of composed scenes.")
@weights_option("Folder whose lens_blur or guided_upsampling or both to start from, not afresh.")
@choice_option(
    "--loss",
    ["normalised", "plain", "psnr"],
    "normalised: L1 and gradients over how much the lens changes the picture; psnr: for the last steps.",
)
@click.option(
    "--truth",
    type=HintedChoice(["layered", "aperture"]),
    help="Each layer blurred by itself, or 128 rays a pixel: exact where layers overlap, about ten times slower.  "
    "[default: layered]",
)
@choice_option(
    "--network",
    ["lens", "direct"],
    "lens: ours; direct: a U-Net without any optics in its place, the baseline of `dofkit evaluate render`.",
)
@click.option(
    "--only",
    type=HintedChoice(["lens_blur", "guided_upsampling"]),
    help="Train this network alone; the other stays as it is in --weights, or as it is before anything is learned.",
)
@click.option(
    "--maps", type=click.IntRange(3), help="Planes of defocus that the lens blur splits a photo into.  [default: 19]"
)
@count_option("--batch", 6, "Samples a step and device.")
@click.option(
    "--size",
    type=click.IntRange(1),
    help="Side of a scene at full resolution in pixels.  [default: 512, or that of --argan]",
)
@click.option(
    "--levels",
    type=click.IntRange(0),
    default=2,
    show_default=True,
    help="Upsamplings from the lowest level to the full size; 0 with --only lens_blur.",
)
@click.option(
    "--lr", "rate", type=FiniteFloat(0, min_open=True), default=2e-3, show_default=True, help="Peak learning rate."
)
@click.option(
    "--reuse",
    type=click.IntRange(1),
    help="Samples drawn from a scene for each new one rendered.  [default: 24]",
)
@click.option(
    "--scenes",
    "count",
    type=click.IntRange(1),
    help="Scenes in all, each rendered when first drawn; instead of ever new ones.",
)
@count_option("--held-out", 8, "Scenes of the validation.")
@run_options
def command(out: Path, only: str | None, run: RunOptions, **request: Any) -> None:
    """Train lens blur and guided upsampling together.

    No photo pairs are needed: scenes are composed of layers whose colour, coverage and disparity are known, and a
    lens is simulated on them in linear light. Without any folder the scenes are drawn procedurally; photos and
    cut-out subjects make them look like photos.

    \b
    A first try, minutes on a laptop:
      dofkit train render --out runs/try --size 256 --levels 2 --steps 200
    The real thing:
      dofkit train render --out runs/render --photos landscapes --masks people
    From photos of a generator that nobody showed any depth:
      dofkit train render --out runs/flowers --argan flowers --levels 2

    The scene's size must be a multiple of 2^levels. Held out are scenes of another seed, made of one picture file in
    ten that training never sees, at twice the size with one more upsampling than was trained: errors that build up
    over the levels show there. With --argan too they are composed scenes, whose blur is true, at the set's size.
    """
    from ..runtime_ref.errors import ensure_installed

    ensure_installed("lightning", "train", "training")
    from ..runtime_ref.pipeline.stage import Stage
    from ..train.runs.render import RenderRequest, train_render

    asked = RenderRequest(**request, only=Stage(only) if only else None, workers=run.workers)
    if (done := train_render(asked, run.settings(out))) is not None:
        _report(done, asked.held_out, run.as_json)


def _report(done: RenderRun, count: int, as_json: bool) -> None:
    """One line a network, then the held-out figures."""
    if as_json:
        files = [str(file) for file in done.files]
        click.echo(json.dumps({"weights": files, "held_out": count, "figures": done.figures}))
        return
    for file in done.files:
        click.echo(f"wrote {file}")
    click.echo(f"held out: {count} scenes, PSNR in dB against the simulated lens")
    for name, value in sorted(done.figures.items()):
        click.echo(f"  {name:<16} {value:6.2f}")

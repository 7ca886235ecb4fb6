"""`dofkit train argan`: read or draw unlabelled photos, train a generator on them, write its weights and a sheet."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ._options import FiniteFloat
from ._training import FOLDER, RunOptions, photos_option, run_options


@click.command()
@click.option("--out", type=FOLDER, required=True, help="Folder of the run: checkpoints, logs, sheets, weights.")
@click.option(
    "--config",
    "name",
    default="full",
    show_default=True,
    help="One of the shipped configurations, see --list, or a file like them.",
)
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _, given: _list(context, given),
    help="List the shipped configurations and leave.",
)
@photos_option
@click.option(
    "--drawn", type=click.IntRange(64), default=8192, show_default=True, help="Photos drawn without --photos."
)
@click.option(
    "--deep",
    type=FiniteFloat(0, 1),
    default=0.3,
    show_default=True,
    help="Share of drawn photos in which all is sharp.",
)
@click.option(
    "--augment", is_flag=True, help="Disturb what the discriminator sees: for a set so small that its loss falls to 0."
)
@click.option("--batch", type=click.IntRange(2), help="Photos a step and device.  [default: the configuration's]")
@run_options
def command(
    out: Path,
    name: str,
    photos: tuple[Path, ...],
    drawn: int,
    deep: float,
    augment: bool,
    batch: int | None,
    run: RunOptions,
) -> None:
    """Learn depth and depth of field from unlabelled photos (AR-GAN).

    The generator makes a picture in focus everywhere and its depth, but the discriminator sees it only through a lens.
    To look like photos, in which the subject is sharp and what lies behind it is not, it has to get the depth right.
    Photos in a mix of shallow and deep work best, with the subject in the middle: flowers, birds, faces.

    \b
    A first try on drawn photos, some ten minutes on a laptop:
      dofkit train argan --out runs/try --steps 500 --drawn 1000
    The real thing, a day on a CPU or an hour on a GPU:
      dofkit train argan --out runs/flowers --photos flowers --steps 60000
    What a constraint is worth:
      dofkit train argan --out runs/no_prior --config no_prior
      dofkit evaluate argan full=runs/try no-prior=runs/no_prior

    sheets/ holds the same samples at every checkpoint: deep, through the lens, defocus. The weights are
    argan.safetensors; `dofkit generate argan --weights` makes training data of them.
    """
    from ..runtime_ref.errors import ensure_installed

    ensure_installed("lightning", "train", "training")
    from ..train.argan_config import load_config
    from ..train.runs.argan import ArganRequest, argan_photos, train_argan
    from ._console import progress

    settings = run.settings_of_two(out)
    config = load_config(name)
    config = config.model_copy(
        update={"augment": augment or config.augment, "batch": config.batch if batch is None else batch}
    )
    request = ArganRequest(config, photos, drawn, deep, run.workers)
    with progress() as display:
        bar = display.add_task("photos", total=None)

        def show(what: str, done: int, total: int) -> None:
            display.update(bar, description=what, completed=done, total=total)

        pictures = argan_photos(request, settings, show)
    if (found := train_argan(request, settings, pictures)) is None:
        return
    if run.as_json:
        click.echo(json.dumps({"weights": str(found.weights), "sheet": str(found.sheet), "photos": found.photos}))
        return
    size = found.weights.stat().st_size / 1e6
    click.echo(f"wrote {found.weights} ({size:.1f} MB), learned from {found.photos} photos")
    click.echo(f"look at {found.sheet}: all in focus, through the lens, defocus (white is in focus, blue behind it)")


def _list(context: click.Context, given: bool) -> None:
    """Name and first line of every shipped configuration."""
    if not given:
        return
    from ..train.argan_config import CONFIGS, shipped_configs

    for name in shipped_configs():
        first = (CONFIGS / f"{name}.toml").read_text().splitlines()[0]
        click.echo(f"{name:<14} {first.lstrip('# ')}")
    context.exit()

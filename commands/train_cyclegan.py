"""`dofkit train cyclegan`: read or draw two unpaired sets, train, write the translator and a sheet, print figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._options import FiniteFloat
from ._training import FOLDER, RunOptions, run_options

if TYPE_CHECKING:
    from ..train.data.gan_photos import HeldOutPhotos, Pictures
    from ..train.systems.cyclegan import CycleganSystem

HELD_OUT_SEED = 2**31
"""Of the drawn pairs, in every run the same; no training set has it."""


@click.command()
@click.option("--out", type=FOLDER, required=True, help="Folder of the run: checkpoints, logs, cyclegan.safetensors.")
@click.option("--deep", type=FOLDER, multiple=True, help="Folder of photos in which all is sharp. May be given again.")
@click.option(
    "--shallow", type=FOLDER, multiple=True, help="Folder of photos with a blurred background. May be given again."
)
@click.option("--size", default=64, show_default=True, help="Side of the pictures in pixels, a multiple of 4.")
@click.option("--width", type=click.IntRange(4), default=24, show_default=True, help="Channels at full size.")
@click.option("--blocks", type=click.IntRange(0), default=4, show_default=True, help="Residual blocks at a quarter.")
@click.option("--batch", default=4, show_default=True, help="Pictures of each set a step.")
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
@click.option("--held-out", type=click.IntRange(1), default=64, show_default=True, help="Photos of the validation.")
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
    from ..runtime_ref.errors import DofkitError, ensure_installed

    ensure_installed("lightning", "train", "training")
    import torch
    from torch.utils.data import DataLoader

    from ..train.data.gan_photos import UnpairedPhotos
    from ..train.networks.cyclegan import ALIGN, SMALLEST, TranslatorConfig
    from ..train.systems.cyclegan import CycleganRecipe, CycleganSystem
    from ..train.trainer import endless_loader, fit, is_main_process, resume_step
    from ..train.weights.cyclegan import save_translator

    if size < SMALLEST or size % ALIGN:
        raise DofkitError(f"--size must be a multiple of {ALIGN} from {SMALLEST} on, not {size}; take 64 or 128")
    if bool(deep) != bool(shallow):
        given, missing = ("--deep", "--shallow") if deep else ("--shallow", "--deep")
        raise DofkitError(f"{given} without {missing}: give folders of both, or neither for drawn photos")
    settings = run.settings_of_two(out)
    resume_step(settings)  # refuses a folder in use before minutes go into reading
    if deep:
        deep_set, shallow_set, judged = _read(deep, shallow, size, held_out)
    else:
        deep_set, shallow_set, judged = _drawn(drawn, run.seed, size, held_out)
    torch.manual_seed(run.seed)  # the networks are made here, before `fit` seeds the rest
    recipe = CycleganRecipe(run.steps, rate, cycle=cycle, identity=identity)
    system = CycleganSystem(TranslatorConfig(width, blocks), recipe)
    loader = endless_loader(UnpairedPhotos(deep_set, shallow_set, run.seed), batch, settings, run.workers)
    val_loader = DataLoader(judged, batch_size=16)
    figures = fit(system, loader, val_loader, settings)
    if is_main_process():
        weights = save_translator(system.network, out)
        _report(weights, _write_sheet(system, next(iter(val_loader)), out), figures, len(judged), run.as_json)


def _drawn(count: int, seed: int, size: int, held_out: int) -> tuple[Pictures, Pictures, HeldOutPhotos]:
    """Two sets of different scenes, and pairs of others."""
    from ..train.data.gan_photos import HeldOutPhotos, drawn_pairs, drawn_photos
    from ..train.data.shallow_photos import PhotoSettings
    from ._console import progress

    deep, shallow = PhotoSettings(size, deep=1.0), PhotoSettings(size, deep=0.0)
    with progress() as display:
        bar = display.add_task("photos drawn", total=2 * count)
        deep_set = drawn_photos(count, 2 * seed, deep, lambda n: display.update(bar, completed=n))
        shallow_set = drawn_photos(count, 2 * seed + 1, shallow, lambda n: display.update(bar, completed=count + n))
    return deep_set, shallow_set, HeldOutPhotos(*drawn_pairs(held_out, HELD_OUT_SEED, shallow))


def _read(
    deep: tuple[Path, ...], shallow: tuple[Path, ...], size: int, held_out: int
) -> tuple[Pictures, Pictures, HeldOutPhotos]:
    """Both sets of the folders, and the deep photos that are held out of the first, from all over it.

    Raises:
        DofkitError: a folder holds no photos, a file cannot be read, or there is but one deep photo.
    """
    import numpy as np

    from ..runtime_ref.errors import DofkitError
    from ..train.data.gan_photos import HeldOutPhotos, read_photos
    from ._console import progress

    with progress() as display:
        bar = display.add_task("photos read", total=None)
        deep_set, shallow_set = (
            read_photos(folders, size, lambda n: display.update(bar, completed=n)) for folders in (deep, shallow)
        )
    if len(deep_set) < 2:
        raise DofkitError(f"--deep {deep[0]}: holds one photo; one is held out, so give at least two")
    count = min(held_out, max(1, len(deep_set) // 10))
    chosen = np.zeros(len(deep_set), bool)
    chosen[np.linspace(0, len(deep_set) - 1, count).astype(int)] = True
    return deep_set[~chosen], shallow_set, HeldOutPhotos(deep_set[chosen])


def _write_sheet(system: CycleganSystem, batch: dict[str, Any], out: Path) -> Path:
    """`sheet.png` of held-out photos."""
    from ..runtime_ref.imageio import write_photo

    path = out / "sheet.png"
    write_photo(path, (system.sheet(batch) * 255).round().byte().permute(1, 2, 0).cpu().numpy())
    return path


def _report(weights: Path, sheet: Path, figures: dict[str, float], count: int, as_json: bool) -> None:
    """The files, then the held-out figures; or the same for machines."""
    from ..train.systems.cyclegan import FIGURES

    if as_json:
        result = {"weights": str(weights), "sheet": str(sheet), "held_out": count, "figures": figures}
        click.echo(json.dumps(result))
        return
    click.echo(f"wrote {weights}; to look at: {sheet}")
    click.echo(f"held out: {count} photos")
    for name, meaning in FIGURES.items():
        if name in figures:
            click.echo(f"  {name:<14} {figures[name]:8.4f}  {meaning}")

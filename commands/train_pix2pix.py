"""`dofkit train pix2pix`: read image + depth folders, train, write the generator and a sheet, print figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._options import FiniteFloat, choice_option
from ._training import FOLDER, RunOptions, count_option, folders_option, run_options

if TYPE_CHECKING:
    from ..train.data.pix2pix_pairs import SquarePairs

HELD_OUT_DRAWN = 32
"""Drawn pairs of the validation where no folder is given."""


@click.command()
@click.option("--out", type=FOLDER, required=True, help="Folder of the run: checkpoints, logs, pix2pix.safetensors.")
@folders_option("--rgbd", "Image + depth folder, any that `dofkit data inspect` recognises.")
@count_option("--size", 256, "Side of the pictures in pixels, a power of two.")
@count_option("--width", 64, "Channels of the first layers.")
@choice_option("--objective", ["both", "l1", "cgan"], "cGAN + λ·L1, or one of them alone: the paper's ablations.")
@click.option(
    "--l1", "weight", type=FiniteFloat(0), default=100.0, show_default=True, help="λ, the weight of L1 beside the cGAN."
)
@count_option("--batch", 1, "Pictures a step.")
@click.option(
    "--lr", "rate", type=FiniteFloat(0, min_open=True), default=2e-4, show_default=True,
    help="Learning rate; it falls in the second half.",
)  # fmt: skip
@count_option("--drawn", 400, "Pairs drawn without a folder.")
@run_options
def command(
    out: Path,
    rgbd: tuple[Path, ...],
    size: int,
    width: int,
    objective: str,
    weight: float,
    batch: int,
    rate: float,
    drawn: int,
    run: RunOptions,
) -> None:
    """Train Pix2Pix from photo to disparity, the comparison of the depth network.

    U-Net generator and a discriminator of 70×70 patches, as Isola et al. (2017) have them. Without a folder pairs are
    drawn. One part in eight of every folder is held out, the same that `dofkit train depth` holds out.

    \b
    A first try, minutes on a laptop:
      dofkit train pix2pix --out runs/try --size 64 --width 16 --steps 500 --batch 4
    The real thing, and the paper's ablations:
      dofkit train pix2pix --out runs/pix2pix --rgbd nyu --steps 150000
      dofkit train pix2pix --out runs/pix2pix_l1 --rgbd nyu --steps 150000 --objective l1
    Score it beside the depth network:
      dofkit evaluate depth nyu --held-out --method pix2pix=runs/pix2pix
    """
    from ..runtime_ref.errors import DofkitError, ensure_installed

    ensure_installed("lightning", "train", "training")
    import torch
    from torch.utils.data import DataLoader

    from ..train.data.pix2pix_pairs import JitteredPairs, WholePairs
    from ..train.networks.pix2pix import SMALLEST, Pix2PixConfig
    from ..train.systems.pix2pix import Objective, Pix2PixRecipe, Pix2PixSystem
    from ..train.trainer import endless_loader, fit, is_main_process, resume_step
    from ..train.weights.generative import PIX2PIX

    if size < SMALLEST or size & (size - 1):
        raise DofkitError(f"--size must be a power of two from {SMALLEST} on, not {size}; take 64, 128 or 256")
    settings = run.settings_of_two(out)
    resume_step(settings)  # refuses a folder in use before minutes go into reading
    training, held_out = _read(rgbd, size, drawn)
    torch.manual_seed(run.seed)  # the networks are made here, before `fit` seeds the rest
    recipe = Pix2PixRecipe(run.steps, rate, Objective(objective), weight, width)
    system = Pix2PixSystem(Pix2PixConfig(size, width), recipe)
    loader = endless_loader(JitteredPairs(training, size, run.seed), batch, settings, run.workers)
    val_loader = DataLoader(WholePairs(held_out), batch_size=8) if len(held_out) else None
    figures = fit(system, loader, val_loader, settings)
    if is_main_process():
        weights = PIX2PIX.save(system.network, out)
        sheet = _write_sheet(system.sheet(next(iter(val_loader))), out) if val_loader is not None else None
        _report(weights, sheet, figures, len(held_out), run.as_json)


def _read(rgbd: tuple[Path, ...], size: int, drawn: int) -> tuple[SquarePairs, SquarePairs]:
    """(training, held out)."""
    from ..train.data.pix2pix_pairs import drawn_square_pairs, read_pairs
    from ..train.data.rgbd import survey
    from ._console import progress

    if not rgbd:
        return drawn_square_pairs(drawn, HELD_OUT_DRAWN, size)
    sets = [found for folder in rgbd for found in survey(folder)]
    with progress() as display:
        bar = display.add_task("pairs read", total=None)
        return read_pairs(sets, size, lambda done, total: display.update(bar, completed=done, total=total))


def _write_sheet(sheet, out: Path) -> Path:
    """`sheet.png` of held-out photos."""
    from ..runtime_ref.imageio import write_photo

    path = out / "sheet.png"
    write_photo(path, (sheet * 255).round().byte().permute(1, 2, 0).cpu().numpy())
    return path


def _report(weights: Path, sheet: Path | None, figures: dict[str, float], count: int, as_json: bool) -> None:
    """The files, then the held-out figures; or the same for machines."""
    from ..train.systems.pix2pix import FIGURES

    if as_json:
        shown = None if sheet is None else str(sheet)
        click.echo(json.dumps({"weights": str(weights), "sheet": shown, "held_out": count, "figures": figures}))
        return
    click.echo(f"wrote {weights}" + (f"; to look at: {sheet}" if sheet else ""))
    click.echo(f"held out: {count} pairs")
    for name, meaning in FIGURES.items():
        if name in figures:
            click.echo(f"  {name:<12} {figures[name]:8.4f}  {meaning}")

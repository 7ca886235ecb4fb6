"""`dofkit train render`: compose scenes, train both rendering networks, write their weights, print held-out figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._training import FOLDER, RunOptions, run_options

if TYPE_CHECKING:
    from ..train.networks import GuidedUpsamplingNet, LensBlurNet


@click.command()
@click.option("--out", type=FOLDER, required=True, help="Folder of the run: checkpoints, logs, scenes, weights.")
@click.option(
    "--photos", type=FOLDER, multiple=True, help="Folder of photos, searched with all below it. May be given again."
)
@click.option(
    "--masks",
    type=FOLDER,
    multiple=True,
    help="Folder with images/ and masks/ (white is the subject) to cut foregrounds out of. May be given again.",
)
@click.option(
    "--weights", type=FOLDER, help="Folder whose lens_blur and guided_upsampling to start from instead of afresh."
)
@click.option("--batch", default=4, show_default=True, help="Samples a step and device.")
@click.option("--size", default=640, show_default=True, help="Side of a scene at full resolution in pixels.")
@click.option("--levels", default=3, show_default=True, help="Upsamplings from the lowest level to the full size.")
@click.option("--lr", "rate", default=2e-3, show_default=True, help="Peak learning rate.")
@click.option("--reuse", default=24, show_default=True, help="Samples drawn from a scene for each new one rendered.")
@click.option("--held-out", default=8, show_default=True, help="Scenes of the validation.")
@run_options
def command(
    out: Path,
    photos: tuple[Path, ...],
    masks: tuple[Path, ...],
    weights: Path | None,
    batch: int,
    size: int,
    levels: int,
    rate: float,
    reuse: int,
    held_out: int,
    run: RunOptions,
) -> None:
    """Train lens blur and guided upsampling together.

    No photo pairs are needed: scenes are composed of layers whose colour, coverage and disparity are known, and a
    lens is simulated on them in linear light. Without any folder the scenes are drawn procedurally; photos and
    cut-out subjects make them look like photos.

    \b
    A first try, minutes on a laptop:
      dofkit train render --out runs/try --size 256 --levels 2 --steps 200
    The real thing:
      dofkit train render --out runs/render --photos landscapes --masks people

    The scene's size must be a multiple of 2^levels. Held out are scenes of another seed, made of one picture file in
    ten that training never sees, at twice the size with one more upsampling than was trained: errors that build up
    over the levels show there.
    """
    from ..runtime_ref.errors import DofkitError, ensure_installed

    ensure_installed("lightning", "train", "training")
    import torch
    from torch.utils.data import DataLoader

    from ..runtime_ref.stage import Stage
    from ..train.data.render_samples import SceneStore, TrainingWindows, WholeScenes
    from ..train.data.scenes import SceneSettings
    from ..train.data.sources import find_sources
    from ..train.systems.render import RenderSystem
    from ..train.trainer import endless_loader, fit, is_main_process
    from ..train.weights import save_weights

    if levels < 1 or size % 2**levels or size // 2**levels < 16:
        raise DofkitError(f"--size {size} with --levels {levels}: the size must be 16 · 2^levels or a higher multiple")
    settings = run.settings(out)
    scenes = SceneStore(
        out / "scenes", run.seed, SceneSettings(size, levels), find_sources(photos, masks, held_out=False)
    )
    judged = SceneStore(
        out / "held_out", run.seed + 1, SceneSettings(2 * size, levels + 1), find_sources(photos, masks, held_out=True)
    )
    torch.manual_seed(run.seed)  # the networks are made here, before `fit` seeds the rest
    system = RenderSystem(*_networks(weights), run.steps, rate)
    windows = TrainingWindows(scenes, run.seed, system.blur.halo, reuse)
    loader = endless_loader(windows, batch, settings, run.workers)
    figures = fit(system, loader, DataLoader(WholeScenes(judged, held_out), batch_size=1), settings)
    if not is_main_process():
        return
    files = [
        save_weights(system.blur, Stage.LENS_BLUR, out),
        save_weights(system.upsampling, Stage.GUIDED_UPSAMPLING, out),
    ]
    _report(files, figures, held_out, run.as_json)


def _networks(weights: Path | None) -> tuple[LensBlurNet, GuidedUpsamplingNet]:
    """Both networks, fresh or from a folder of weights."""
    from ..runtime_ref.stage import Stage
    from ..train.networks import GuidedUpsamplingNet, LensBlurNet
    from ..train.weights import load_weights

    if weights is None:
        return LensBlurNet(), GuidedUpsamplingNet()
    blur, upsampling = load_weights(Stage.LENS_BLUR, weights), load_weights(Stage.GUIDED_UPSAMPLING, weights)
    assert isinstance(blur, LensBlurNet)
    assert isinstance(upsampling, GuidedUpsamplingNet)
    return blur.train(), upsampling.train()


def _report(files: list[Path], figures: dict[str, float], count: int, as_json: bool) -> None:
    """One line a network, then the held-out figures."""
    if as_json:
        click.echo(json.dumps({"weights": [str(file) for file in files], "held_out": count, "figures": figures}))
        return
    for file in files:
        click.echo(f"wrote {file}")
    click.echo(f"held out: {count} scenes, PSNR in dB against the simulated lens")
    for name, value in sorted(figures.items()):
        click.echo(f"  {name:<16} {value:6.2f}")

"""`dofkit train render`: compose scenes, train both rendering networks, write their weights, print held-out figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ._training import FOLDER, RunOptions, masks_option, photos_option, run_options

if TYPE_CHECKING:
    from ..train.data.render_samples import GeneratedScenes
    from ..train.data.scenes import SceneSettings, TruthName
    from ..train.networks import GuidedUpsamplingNet
    from ..train.systems.render import BlurNet, Loss

TRAINING_RAYS = 128
"""Half of an evaluation's: a training window sees more noise from anything else."""
SIZE, REUSE = 512, 24
LOWEST = 16
"""Least side of a scene's lowest level in pixels."""


@click.command()
@click.option("--out", type=FOLDER, required=True, help="Folder of the run: checkpoints, logs, scenes, weights.")
@photos_option
@masks_option
@click.option(
    "--argan",
    type=FOLDER,
    multiple=True,
    help="Set of `dofkit generate argan` to train with instead of composed scenes. May be given again.",
)
@click.option(
    "--weights", type=FOLDER, help="Folder whose lens_blur or guided_upsampling or both to start from, not afresh."
)
@click.option(
    "--loss",
    type=click.Choice(["normalised", "plain", "psnr"]),
    default="normalised",
    show_default=True,
    help="normalised: L1 and gradients over how much the lens changes the picture; psnr: for the last steps.",
)
@click.option(
    "--truth",
    type=click.Choice(["layered", "aperture"]),
    help="Each layer blurred by itself, or 128 rays a pixel: exact where layers overlap, about ten times slower.  "
    "[default: layered]",
)
@click.option(
    "--network",
    type=click.Choice(["lens", "direct"]),
    default="lens",
    show_default=True,
    help="lens: ours; direct: a U-Net without any optics in its place, the baseline of `dofkit evaluate render`.",
)
@click.option(
    "--only",
    type=click.Choice(["lens_blur", "guided_upsampling"]),
    help="Train this network alone; the other stays as it is in --weights, or as it is before anything is learned.",
)
@click.option(
    "--maps", type=click.IntRange(3), help="Planes of defocus that the lens blur splits a photo into.  [default: 19]"
)
@click.option("--batch", default=6, show_default=True, help="Samples a step and device.")
@click.option(
    "--size", type=int, help=f"Side of a scene at full resolution in pixels.  [default: {SIZE}, or that of --argan]"
)
@click.option(
    "--levels",
    type=click.IntRange(0),
    default=2,
    show_default=True,
    help="Upsamplings from the lowest level to the full size; 0 with --only lens_blur.",
)
@click.option("--lr", "rate", default=2e-3, show_default=True, help="Peak learning rate.")
@click.option(
    "--reuse",
    type=click.IntRange(1),
    help=f"Samples drawn from a scene for each new one rendered.  [default: {REUSE}]",
)
@click.option(
    "--scenes",
    "count",
    type=click.IntRange(1),
    help="Scenes in all, each rendered when first drawn; instead of ever new ones.",
)
@click.option("--held-out", default=8, show_default=True, help="Scenes of the validation.")
@run_options
def command(
    out: Path,
    photos: tuple[Path, ...],
    masks: tuple[Path, ...],
    argan: tuple[Path, ...],
    weights: Path | None,
    loss: Loss,
    truth: TruthName | None,
    network: Literal["lens", "direct"],
    only: str | None,
    maps: int | None,
    batch: int,
    size: int | None,
    levels: int,
    rate: float,
    reuse: int | None,
    count: int | None,
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
    From photos of a generator that nobody showed any depth:
      dofkit train render --out runs/flowers --argan flowers --levels 2

    The scene's size must be a multiple of 2^levels. Held out are scenes of another seed, made of one picture file in
    ten that training never sees, at twice the size with one more upsampling than was trained: errors that build up
    over the levels show there. With --argan too they are composed scenes, whose blur is true, at the set's size.
    """
    from ..runtime_ref.errors import DofkitError, ensure_installed

    ensure_installed("lightning", "train", "training")
    import torch
    from torch.utils.data import DataLoader

    from ..runtime_ref.pipeline.stage import Stage
    from ..train.data.render_samples import SceneStore, TrainingWindows, WholeScenes, by_levels
    from ..train.data.scenes import SceneSettings, truth_of
    from ..train.data.sources import find_sources
    from ..train.rendering.baselines.direct import WITH_DIRECT
    from ..train.systems.render import RenderSystem
    from ..train.trainer import endless_loader, fit, is_main_process
    from ..train.weights import save_weights

    if levels == 0 and only != Stage.LENS_BLUR:
        raise DofkitError("--levels 0 leaves nothing to upsample; add --only lens_blur, or give --levels 1")
    if count is not None and reuse is not None:
        raise DofkitError("--reuse is about ever new scenes, --scenes says how many there are; leave one of both")
    settings = run.settings(out)
    if argan:
        scenes = _generated(argan, levels, run.seed, {"size": size, "truth": truth, "reuse": reuse, "scenes": count})
        unseen = scenes.settings
    else:
        made, sources = _composed(SIZE if size is None else size, levels), find_sources(photos, masks, held_out=False)
        light = truth_of(truth or "layered", TRAINING_RAYS)
        scenes = SceneStore(out / "scenes", run.seed, made, sources, light, count)
        unseen = SceneSettings(2 * made.size, levels + 1)
    judged = SceneStore(out / "held_out", run.seed + 1, unseen, find_sources(photos, masks, held_out=True))
    torch.manual_seed(run.seed)  # the networks are made here, before `fit` seeds the rest
    system = RenderSystem(*_networks(weights, network, maps), run.steps, rate, loss, Stage(only) if only else None)
    windows = TrainingWindows(scenes, run.seed, system.blur.halo, REUSE if reuse is None else reuse)
    loader = endless_loader(windows, batch, settings, run.workers, by_levels)
    figures = fit(system, loader, DataLoader(WholeScenes(judged, held_out), batch_size=1), settings)
    if not is_main_process():
        return
    files = [
        save_weights(system.blur, Stage.LENS_BLUR, out, architectures=WITH_DIRECT),
        save_weights(system.upsampling, Stage.GUIDED_UPSAMPLING, out),
    ]
    _report(files, figures, held_out, run.as_json)


def _composed(size: int, levels: int) -> SceneSettings:
    """Of scenes composed for training.

    Raises:
        DofkitError: the size cannot be halved so often.
    """
    from ..runtime_ref.errors import DofkitError
    from ..train.data.scenes import SceneSettings

    if not _halves(size, levels):
        raise DofkitError(
            f"--size {size} with --levels {levels}: the size must be {LOWEST} · 2^levels or a higher multiple"
        )
    return SceneSettings(size, levels)


def _generated(folders: tuple[Path, ...], levels: int, seed: int, options: dict[str, object]) -> GeneratedScenes:
    """The scenes of generated sets.

    Args:
        folders: of the sets, at least one.
        levels: upsamplings.
        seed: of the run.
        options: those that say how scenes are composed, by name.

    Raises:
        DofkitError: one of these options is given, the sets cannot be read, or their size not halved so often.
    """
    from ..runtime_ref.errors import DofkitError
    from ..train.data.render_samples import GeneratedScenes

    if given := [name for name, value in options.items() if value is not None]:
        raise DofkitError(f"--{given[0]} is about composed scenes, --argan takes finished photos; leave one of both")
    scenes = GeneratedScenes.open(folders, levels, seed)
    size = scenes.settings.size
    if not _halves(size, levels):
        most = (size // LOWEST).bit_length() - 1
        raise DofkitError(
            f"--argan with photos of {size} pixels and --levels {levels}: the lowest level needs {LOWEST} pixels; "
            f"give --levels {most}"
        )
    return scenes


def _halves(size: int, levels: int) -> bool:
    """Whether a side can be halved so often."""
    return size % 2**levels == 0 and size // 2**levels >= LOWEST


def _networks(
    weights: Path | None, network: Literal["lens", "direct"], maps: int | None
) -> tuple[BlurNet, GuidedUpsamplingNet]:
    """Both networks, each from the folder of weights if that holds it, else fresh.

    Raises:
        DofkitError: the folder holds neither, or a lens blur whose size is asked for as well, or size is asked of the
            direct one.
    """
    from ..runtime_ref.errors import DofkitError
    from ..runtime_ref.pipeline.stage import Stage
    from ..train.networks import GuidedUpsamplingNet, LensBlurConfig, LensBlurNet
    from ..train.rendering.baselines.direct import DirectBlurNet
    from ..train.weights import has_weights, load_weights

    stages = (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)
    found = {stage: load_weights(stage, weights).train() for stage in stages if weights and has_weights(stage, weights)}
    if weights and not found:
        raise DofkitError(f"--weights {weights}: there is no {' or '.join(stages)} in it; give a folder of training")
    if maps is not None and network == "direct":
        raise DofkitError("--maps: only the lens blur has them; leave it, or --network direct")
    if maps is not None and Stage.LENS_BLUR in found:
        raise DofkitError(f"--maps: {weights} holds a lens blur, whose size is fixed; leave one of both")
    config = LensBlurConfig() if maps is None else LensBlurConfig(maps)
    upsampling = found.get(Stage.GUIDED_UPSAMPLING) or GuidedUpsamplingNet()
    blur = DirectBlurNet() if network == "direct" else found.get(Stage.LENS_BLUR) or LensBlurNet(config)
    assert isinstance(upsampling, GuidedUpsamplingNet)
    assert isinstance(blur, LensBlurNet | DirectBlurNet)
    return blur, upsampling


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

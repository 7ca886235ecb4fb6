"""A run of both rendering networks: composed scenes or generated photos, training, weights, held-out figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch.utils.data import DataLoader

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.pipeline.stage import Stage
from ..data.render_samples import GeneratedScenes, SceneStore, TrainingWindows, WholeScenes, by_levels
from ..data.scenes import SceneSettings, TruthName, truth_of
from ..data.sources import find_sources
from ..networks import GuidedUpsamplingNet, LensBlurConfig, LensBlurNet
from ..rendering.baselines.direct import WITH_DIRECT, DirectBlurNet
from ..systems.render import BlurNet, Loss, RenderSystem
from ..trainer import RunSettings, endless_loader, fit, is_main_process
from ..weights import has_weights, load_weights, save_weights

TRAINING_RAYS = 128
"""Half of an evaluation's: a training window sees more noise from anything else."""
SIZE, REUSE = 512, 24
"""Where nothing else is asked for; the help of `dofkit train render` names them."""
LOWEST = 16
"""Least side of a scene's lowest level in pixels."""


@dataclass(frozen=True)
class RenderRequest:
    """What to train, on what.

    Attributes:
        photos, masks: folders that composed scenes are made of; without any they are drawn.
        argan: generated sets to train with instead of composed scenes.
        weights: folder whose networks to start from, not afresh.
        loss: see `RenderSystem`.
        truth: how composed scenes are blurred; None: "layered".
        network: ours, or the baseline without any optics in its place.
        only: train this network alone; None: both.
        maps: planes of defocus that the lens blur splits a photo into; None: the network's default.
        batch: samples a step and device.
        size: side of a scene at full resolution in pixels; None: `SIZE`, or that of the generated sets.
        levels: upsamplings from the lowest level to the full size.
        rate: peak learning rate.
        reuse: samples drawn from a scene for each new one rendered; None: `REUSE`.
        count: scenes in all, each rendered when first drawn; None: ever new ones.
        held_out: scenes of the validation.
        workers: processes that prepare samples.
    """

    photos: tuple[Path, ...] = ()
    masks: tuple[Path, ...] = ()
    argan: tuple[Path, ...] = ()
    weights: Path | None = None
    loss: Loss = "normalised"
    truth: TruthName | None = None
    network: Literal["lens", "direct"] = "lens"
    only: Stage | None = None
    maps: int | None = None
    batch: int = 6
    size: int | None = None
    levels: int = 2
    rate: float = 2e-3
    reuse: int | None = None
    count: int | None = None
    held_out: int = 8
    workers: int = 1

    def check(self) -> None:
        """Refuse what excludes each other.

        Raises:
            DofkitError: it does.
        """
        if self.levels == 0 and self.only is not Stage.LENS_BLUR:
            raise DofkitError("--levels 0 leaves nothing to upsample; add --only lens_blur, or give --levels 1")
        if self.count is not None and self.reuse is not None:
            raise DofkitError("--reuse is about ever new scenes, --scenes says how many there are; leave one of both")
        composed = {"size": self.size, "truth": self.truth, "reuse": self.reuse, "scenes": self.count}
        given = next((name for name, value in composed.items() if value is not None), None)
        if self.argan and given:
            raise DofkitError(f"--{given} is about composed scenes, --argan takes finished photos; leave one of both")


@dataclass(frozen=True)
class RenderRun:
    """What a run left.

    Attributes:
        files: both networks' weights.
        figures: name -> PSNR in dB against the simulated lens, on held-out scenes.
    """

    files: tuple[Path, Path]
    figures: dict[str, float]


def train_render(request: RenderRequest, settings: RunSettings) -> RenderRun | None:
    """Train lens blur and guided upsampling together and write their weights to `settings.out`.

    Held out are scenes of another seed, made of picture files that training never sees, at twice the size with one more
    upsampling than was trained; with generated sets composed scenes of the sets' size.

    Returns:
        None in a process of a distributed run that writes nothing.

    Raises:
        DofkitError: options exclude each other or do not fit the data, a folder cannot be read, or `settings.out` holds
            a run already; see `fit`.
    """
    request.check()
    scenes, unseen = _scenes(request, settings)
    held_out = find_sources(request.photos, request.masks, held_out=True)
    judged = SceneStore(settings.out / "held_out", settings.seed + 1, unseen, held_out)
    torch.manual_seed(settings.seed)  # the networks are made here, before `fit` seeds the rest
    system = RenderSystem(*_networks(request), settings.steps, request.rate, request.loss, request.only)
    reuse = REUSE if request.reuse is None else request.reuse
    windows = TrainingWindows(scenes, settings.seed, system.blur.halo, reuse)
    loader = endless_loader(windows, request.batch, settings, request.workers, by_levels)
    figures = fit(system, loader, DataLoader(WholeScenes(judged, request.held_out), batch_size=1), settings)
    if not is_main_process():
        return None
    blur = save_weights(system.blur, Stage.LENS_BLUR, settings.out, architectures=WITH_DIRECT)
    return RenderRun((blur, save_weights(system.upsampling, Stage.GUIDED_UPSAMPLING, settings.out)), figures)


def _scenes(request: RenderRequest, settings: RunSettings) -> tuple[SceneStore | GeneratedScenes, SceneSettings]:
    """What is trained on, and the settings of the scenes that judge.

    Raises:
        DofkitError: a size cannot be halved so often, or a set cannot be read.
    """
    if request.argan:
        generated = GeneratedScenes.open(request.argan, request.levels, settings.seed)
        _check_generated(generated.settings.size, request.levels)
        return generated, generated.settings
    size = SIZE if request.size is None else request.size
    if not _halves(size, request.levels):
        raise DofkitError(
            f"--size {size} with --levels {request.levels}: give a multiple of 2^(levels + 1) from {LOWEST} · 2^levels "
            f"on, such as {_fitting(size, request.levels)}"
        )
    made = SceneSettings(size, request.levels)
    sources = find_sources(request.photos, request.masks, held_out=False)
    light = truth_of(request.truth or "layered", TRAINING_RAYS)
    composed = SceneStore(settings.out / "scenes", settings.seed, made, sources, light, request.count)
    return composed, SceneSettings(2 * size, request.levels + 1)


def _check_generated(size: int, levels: int) -> None:
    if not _halves(size, levels):
        most = (size // LOWEST).bit_length() - 1
        raise DofkitError(
            f"--argan with photos of {size} pixels and --levels {levels}: the lowest level needs {LOWEST} pixels; "
            f"give --levels {most}"
        )


def _halves(size: int, levels: int) -> bool:
    """Whether a side can be halved so often, and is even at the lowest level, which the lens blur halves once more."""
    return size % 2 ** (levels + 1) == 0 and size // 2**levels >= LOWEST


def _fitting(size: int, levels: int) -> int:
    """The nearest side that does."""
    step = 2 ** (levels + 1)
    return max(LOWEST * 2**levels, step * round(size / step))


def _networks(request: RenderRequest) -> tuple[BlurNet, GuidedUpsamplingNet]:
    """Both networks, each from the folder of weights if that holds it, else fresh.

    Raises:
        DofkitError: the folder holds neither, or a lens blur whose size is asked for as well, or size is asked of the
            direct one.
    """
    weights, maps, direct = request.weights, request.maps, request.network == "direct"
    stages = (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)
    found = {stage: load_weights(stage, weights).train() for stage in stages if weights and has_weights(stage, weights)}
    if weights and not found:
        raise DofkitError(f"--weights {weights}: there is no {' or '.join(stages)} in it; give a folder of training")
    if maps is not None and direct:
        raise DofkitError("--maps: only the lens blur has them; leave it, or --network direct")
    if maps is not None and Stage.LENS_BLUR in found:
        raise DofkitError(f"--maps: {weights} holds a lens blur, whose size is fixed; leave one of both")
    config = LensBlurConfig() if maps is None else LensBlurConfig(maps)
    upsampling = found.get(Stage.GUIDED_UPSAMPLING) or GuidedUpsamplingNet()
    blur = DirectBlurNet() if direct else found.get(Stage.LENS_BLUR) or LensBlurNet(config)
    assert isinstance(upsampling, GuidedUpsamplingNet)
    assert isinstance(blur, LensBlurNet | DirectBlurNet)
    return blur, upsampling

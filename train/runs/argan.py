"""A run of AR-GAN: read or drawn photos, training, the generator's weights and a sheet of samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from ..argan_config import ArganConfig
from ..data.gan_photos import GanPhotos, OneBatch, Pictures, drawn_photos, read_photos
from ..data.shallow_photos import PhotoSettings
from ..data.sources import image_files
from ..systems.argan import ArganSystem
from ..trainer import RunSettings, endless_loader, fit, is_main_process, resume_step
from ..weights.generative import GENERATOR

Progress = Callable[[str, int, int], None]
"""Called with (what, done, all) while photos are read or drawn."""


@dataclass(frozen=True)
class ArganRequest:
    """What to learn from.

    Attributes:
        config: the generator, its constraints, its training.
        photos: folders of photos; without any they are drawn.
        drawn: how many, and `deep` the share of them in which all is sharp.
        workers: processes that prepare samples.
    """

    config: ArganConfig
    photos: tuple[Path, ...] = ()
    drawn: int = 8192
    deep: float = 0.3
    workers: int = 1


@dataclass(frozen=True)
class ArganRun:
    """What a run left.

    Attributes:
        weights, sheet: files; the sheet is samples all in focus, through the lens, and their defocus.
        photos: how many it learned from.
    """

    weights: Path
    sheet: Path
    photos: int


def argan_photos(request: ArganRequest, settings: RunSettings, progress: Progress) -> Pictures:
    """What to learn from: photos of the folders, or drawn ones; uint8 [M, S, S, 3].

    Raises:
        DofkitError: a folder holds no photos, one cannot be read, or `settings.out` holds a run already.
    """
    resume_step(settings)  # refuses a folder in use before minutes go into reading
    size = request.config.size
    if request.photos:
        total = sum(len(image_files(folder)) for folder in request.photos)
        return read_photos(request.photos, size, lambda done: progress("reading photos", done, total))
    drawn, drawing = request.drawn, PhotoSettings(size, request.deep)
    return drawn_photos(drawn, settings.seed, drawing, lambda done: progress("drawing photos", done, drawn))


def train_argan(request: ArganRequest, settings: RunSettings, pictures: Pictures) -> ArganRun | None:
    """Train a generator and write its weights, `sheet.png` and `sheets/` to `settings.out`.

    Args:
        request, settings: of the run.
        pictures: of `argan_photos`.

    Returns:
        None in a process of a distributed run that writes nothing.

    Raises:
        DofkitError: `settings.out` holds a run already; see `fit`.
    """
    torch.manual_seed(settings.seed)  # the networks are made here, before `fit` seeds the rest
    system = ArganSystem(request.config, settings.steps, settings.seed, sheets=settings.out / "sheets")
    loader = endless_loader(GanPhotos(pictures, settings.seed), request.config.batch, settings, request.workers)
    fit(system, loader, DataLoader(OneBatch()), settings)
    if not is_main_process():
        return None
    weights = GENERATOR.save(system.network, settings.out)
    return ArganRun(weights, system.write_sheet(settings.out / "sheet.png"), len(pictures))

"""A run of the CycleGAN: two unpaired sets, read or drawn; training, weights, a sheet, held-out figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.imageio import write_photo
from ..data.gan_photos import HeldOutPhotos, Pictures, UnpairedPhotos, drawn_pairs, drawn_photos, read_photos
from ..data.shallow_photos import PhotoSettings
from ..networks.cyclegan import ALIGN, SMALLEST, TranslatorConfig
from ..systems.cyclegan import CycleganRecipe, CycleganSystem
from ..trainer import RunSettings, endless_loader, fit, is_main_process, resume_step
from ..weights.generative import TRANSLATOR

HELD_OUT_SEED = 2**31
"""Of the drawn pairs, in every run the same; no training set has it."""

Progress = Callable[[int], None]
"""Called with the number of photos that are read or drawn."""


@dataclass(frozen=True)
class CycleganRequest:
    """What to train, on what.

    Attributes:
        recipe: losses and their weights.
        network: size of the translators.
        deep, shallow: folders of photos, of both or of neither: then they are drawn.
        size: side of the pictures in pixels.
        batch: pictures of each set a step.
        drawn: photos of each drawn set.
        held_out: photos of the validation, at most.
        workers: processes that prepare samples.
    """

    recipe: CycleganRecipe
    network: TranslatorConfig = field(default_factory=TranslatorConfig)
    deep: tuple[Path, ...] = ()
    shallow: tuple[Path, ...] = ()
    size: int = 64
    batch: int = 4
    drawn: int = 2000
    held_out: int = 64
    workers: int = 1

    def check(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            DofkitError: the size does not fit the network, or folders of one set alone are given.
        """
        if self.size < SMALLEST or self.size % ALIGN:
            raise DofkitError(
                f"--size must be a multiple of {ALIGN} from {SMALLEST} on, not {self.size}; take 64 or 128"
            )
        if bool(self.deep) != bool(self.shallow):
            given, missing = ("--deep", "--shallow") if self.deep else ("--shallow", "--deep")
            raise DofkitError(f"{given} without {missing}: give folders of both, or neither for drawn photos")


@dataclass(frozen=True)
class CycleganRun:
    """What a run left.

    Attributes:
        weights, sheet: files; the sheet is held-out photos: deep, translated, and back.
        figures: see `systems.cyclegan.FIGURES`.
        held_out: photos that they are means of.
    """

    weights: Path
    sheet: Path
    figures: dict[str, float]
    held_out: int


@dataclass(frozen=True, eq=False)
class UnpairedSets:
    """Both sets of the training, uint8 [M, S, S, 3], and the photos that judge it."""

    deep: Pictures
    shallow: Pictures
    held_out: HeldOutPhotos


def unpaired_sets(request: CycleganRequest, settings: RunSettings, progress: Progress) -> UnpairedSets:
    """Read or draw what is asked for.

    Raises:
        DofkitError: the request cannot be trained, a folder holds no photos, one cannot be read, or `settings.out`
            holds a run already.
    """
    request.check()
    resume_step(settings)  # refuses a folder in use before minutes go into reading
    return _read(request, progress) if request.deep else _drawn(request, settings.seed, progress)


def train_cyclegan(request: CycleganRequest, settings: RunSettings, sets: UnpairedSets) -> CycleganRun | None:
    """Train a translator from deep to shallow photos; write its weights and `sheet.png` to `settings.out`.

    Args:
        request, settings: of the run.
        sets: of `unpaired_sets`.

    Returns:
        None in a process of a distributed run that writes nothing.

    Raises:
        DofkitError: `settings.out` holds a run already; see `fit`.
    """
    torch.manual_seed(settings.seed)  # the networks are made here, before `fit` seeds the rest
    system = CycleganSystem(request.network, request.recipe)
    loader = endless_loader(
        UnpairedPhotos(sets.deep, sets.shallow, settings.seed), request.batch, settings, request.workers
    )
    val_loader = DataLoader(sets.held_out, batch_size=16)
    figures = fit(system, loader, val_loader, settings)
    if not is_main_process():
        return None
    weights = TRANSLATOR.save(system.network, settings.out)
    sheet = _write_sheet(system, next(iter(val_loader)), settings.out / "sheet.png")
    return CycleganRun(weights, sheet, figures, len(sets.held_out))


def _drawn(request: CycleganRequest, seed: int, progress: Progress) -> UnpairedSets:
    """Two sets of different scenes, and pairs of others."""
    count = request.drawn
    deep, shallow = PhotoSettings(request.size, deep=1.0), PhotoSettings(request.size, deep=0.0)
    deep_set = drawn_photos(count, 2 * seed, deep, progress)
    shallow_set = drawn_photos(count, 2 * seed + 1, shallow, lambda done: progress(count + done))
    return UnpairedSets(deep_set, shallow_set, HeldOutPhotos(*drawn_pairs(request.held_out, HELD_OUT_SEED, shallow)))


def _read(request: CycleganRequest, progress: Progress) -> UnpairedSets:
    """Both sets of the folders, and the deep photos that are held out of the first, from all over it.

    Raises:
        DofkitError: a folder holds no photos, a file cannot be read, or there is but one deep photo.
    """
    deep_set, shallow_set = (
        read_photos(folders, request.size, progress) for folders in (request.deep, request.shallow)
    )
    if len(deep_set) < 2:
        raise DofkitError(f"--deep {request.deep[0]}: holds one photo; one is held out, so give at least two")
    count = min(request.held_out, max(1, len(deep_set) // 10))
    chosen = np.zeros(len(deep_set), bool)
    chosen[np.linspace(0, len(deep_set) - 1, count).astype(int)] = True
    return UnpairedSets(deep_set[~chosen], shallow_set, HeldOutPhotos(deep_set[chosen]))


def _write_sheet(system: CycleganSystem, batch: Mapping[str, Any], path: Path) -> Path:
    write_photo(path, (system.sheet(dict(batch)) * 255).round().byte().permute(1, 2, 0).cpu().numpy())
    return path

"""Calibration: what the stages really see, streamed from photos through the PyTorch pipeline with several lenses.

One rendering's kept tiles are in memory at a time. Ranges measured on them are remembered by content. What they are
used for is the targets' business.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from ..runtime_ref.backends import Session
from ..runtime_ref.backends.tracers import open_tracer
from ..runtime_ref.bundle import file_sha256
from ..runtime_ref.cache import cache_folder
from ..runtime_ref.entries import read_entry, write_entry
from ..runtime_ref.errors import DofkitError, require
from ..runtime_ref.files import read_file
from ..runtime_ref.imageio import read_photo
from ..runtime_ref.parity.cases import Picture
from ..runtime_ref.pipeline.plan import PipelinePlan
from ..runtime_ref.pipeline.portrait import Array, PortraitPipeline
from ..runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from ..runtime_ref.target import Target
from ..train.session import torch_sessions
from ..version import __version__
from .coverage import Coverage, Light, StageCoverage
from .golden import HARD_SIZE, hard_picture, user_picture
from .ranges import Ranges, StageInputs, measure_ranges
from .samples import SPREAD, TILES_KEPT, renderings

SUFFIXES = (".jpg", ".jpeg", ".png", ".heic", ".heif", ".webp", ".tif", ".tiff", ".bmp")  # what read_photo reads
# Extremes settle early: more photos cost minutes and move few ranges.
MOST_PHOTOS = 64
# Photos that lie inside scikit-image's wheel, colour and of real scenes; others it would download.
WHEEL_PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
# Raised when the samples change in a way that nothing else in the key tells.
CACHE_VERSION = 2


def find_photos(folder: Path) -> tuple[Path, ...]:
    """All photos in a folder and the folders in it, sorted; hidden files and folders are passed over.

    Raises:
        DofkitError: there is no such folder, no photo in it, or one that cannot be read.
    """
    if not folder.is_dir():
        raise DofkitError(f"{folder}: is no folder; name a folder with photos")
    photos = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not photos:
        raise DofkitError(f"{folder}: there are no photos in it; put JPEG, PNG, HEIC, WebP, TIFF or BMP files there")
    for path in photos:
        try:
            with warnings.catch_warnings():  # on odd metadata and on large pictures
                warnings.simplefilter("ignore")
                Image.open(path).close()  # the header only: all pixels of all photos would take minutes
        except Exception:  # of many kinds; reading it says in one line what is wrong
            read_photo(path)
    return tuple(photos)


@dataclass(frozen=True)
class CalibrationSet:
    """The photos of a calibration; read one at a time, when they are needed.

    Attributes:
        photos: files.
        found: how many there were before some were left out.
        own: whether they are the user's.
        hard: with the hard synthetic picture of the golden cases as the last one. Measured with w8a8 depth on five
            photos that were not calibrated on: it costs 0.1 to 5.7 dB end to end (the worst photo 37.3 → 37.2 dB)
            and takes the hard picture itself, on which every export is judged too, from 31 to 52 dB.
    """

    photos: tuple[Path, ...]
    found: int
    own: bool
    hard: bool = True

    @classmethod
    def of(cls, photos: tuple[Path, ...]) -> CalibrationSet:
        """Photos of the user; of more than `MOST_PHOTOS`, so many evenly chosen."""
        count = min(len(photos), MOST_PHOTOS)
        chosen = tuple(photos[index * len(photos) // count] for index in range(count))
        return cls(chosen, found=len(photos), own=True)

    @classmethod
    def shipped(cls) -> CalibrationSet:
        """The photos that lie inside the installed scikit-image; nothing is downloaded.

        Raises:
            MissingExtraError: scikit-image is not installed.
        """
        folder = Path(require("skimage", "onnx", "calibrating without photos").__file__ or "").parent / "data"
        photos = tuple(folder / name for name in WHEEL_PHOTOS if (folder / name).is_file())
        return cls(photos, found=len(photos), own=False)

    def pictures(self) -> Iterator[Picture]:
        """Every photo, its long side reduced as for the golden cases.

        Raises:
            DofkitError: a photo is damaged or has gone.
        """
        yield from (user_picture(path) for path in self.photos)
        if self.hard:
            yield Picture("hard", "synthetic", hard_picture(*HARD_SIZE), "the hard golden case")

    @property
    def count(self) -> int:
        """Of the pictures."""
        return len(self.photos) + self.hard

    def digest(self) -> str:
        """SHA-256 over the content of all pictures.

        Raises:
            DofkitError: a photo has gone.
        """
        digest = hashlib.sha256(f"{len(self.photos)} {self.hard}".encode())
        for path in self.photos:
            digest.update(hashlib.sha256(read_file(path)).digest())
        return digest.hexdigest()


class Calibration:
    """Inputs of the stages and ranges of the exported files' tensors, over one set of photos.

    Args:
        pictures: the photos.
        networks: of all stages.
        cache: where ranges are remembered; None takes the user's cache folder.
        watch: called with (stage, photos done, photos in all).
    """

    def __init__(
        self,
        pictures: CalibrationSet,
        networks: Mapping[Stage, torch.nn.Module],
        cache: Path | None = None,
        watch: Callable[[Stage, int, int], None] = lambda *_: None,
    ) -> None:
        self._pictures = pictures
        self._networks = networks
        self._cache = cache or cache_folder() / "ranges"
        self._watch = watch
        self._disparities: dict[tuple[int, tuple[int, int]], Array] = {}  # (photo, depth size): at most 38 MB of 384²
        self._lights: dict[int, Light] = {}
        self._stages: dict[Stage, StageCoverage] = {}

    @property
    def coverage(self) -> Coverage:
        """What was fed so far; of a stage that was streamed twice, the last time."""
        lights = tuple(self._lights[index] for index in sorted(self._lights))
        return Coverage(self._pictures.own, self._pictures.found, lights, dict(self._stages))

    def samples(self, stage: Stage, plan: PipelinePlan) -> Iterator[StageInputs]:
        """Inputs of a stage, photo by photo, the same ones every time; the coverage grows along.

        Args:
            stage: which.
            plan: tile sizes.

        Yields:
            By name, each `[1, C, H, W]` float32, as `Session.run` takes them.
        """
        sessions = torch_sessions(self._networks)
        self._stages[stage] = StageCoverage()
        for index, picture in enumerate(self._pictures.pictures()):
            photo = picture.kind == "photo"  # only those are reported: the hard picture is always the same
            if photo:
                self._lights[index] = Light.of(picture.pixels)
            for rendering in renderings(stage, picture.pixels, self._disparity(index, plan, sessions), sessions, plan):
                if photo:
                    self._stages[stage] = self._stages[stage].with_rendering(rendering.lens, rendering.samples)
                yield from rendering.samples
            self._watch(stage, index + 1, self._pictures.count)

    def ranges(
        self, stage: Stage, plan: PipelinePlan, target: Target, model: Path, function: str | None = None
    ) -> Ranges:
        """Ranges of all tensors of an exported fp32 file over all samples; remembered for the same file and photos.

        Args:
            stage, plan: what the file computes, and with which tiles.
            target, model: the file.
            function: of a package with several.

        Raises:
            DofkitError: there are no samples, or the file cannot be traced.
        """
        goal = self._cache / f"{self._key(stage, plan, target, model, function)}.json"
        entry = read_entry(goal, _Entry)
        if entry is None:
            ranges = measure_ranges(open_tracer(stage, target, model, function), self.samples(stage, plan))
            entry = _Entry(ranges=dict(ranges), photos=self.coverage.photos, coverage=self._stages[stage])
            write_entry(goal, entry)
        self._stages[stage] = entry.coverage
        self._lights.update(enumerate(entry.photos))
        return entry.ranges

    def _disparity(self, index: int, plan: PipelinePlan, sessions: Mapping[Stage, Session]) -> Callable[..., Array]:
        """Computes the disparity of a photo, once for all stages and lenses."""

        def disparity(pixels: NDArray[Any]) -> Array:
            key = (index, plan.depth_shape_for(*pixels.shape[:2]))
            if key not in self._disparities:
                self._disparities[key] = PortraitPipeline(sessions, plan).disparity(pixels)
            return self._disparities[key]

        return disparity

    @cached_property
    def _sources(self) -> list[str]:
        """Digests of the pictures and the networks; once, they may be many megabytes."""
        return [self._pictures.digest(), *(_network_digest(self._networks[stage]) for stage in PIPELINE_STAGES)]

    def _key(self, stage: Stage, plan: PipelinePlan, target: Target, model: Path, function: str | None) -> str:
        """All that the ranges depend on."""
        parts = {
            "versions": (CACHE_VERSION, __version__),
            "samples": (SPREAD, TILES_KEPT, self._sources),
            "plan": plan.model_dump(mode="json"),
            "model": (stage.value, target.value, _file_digests(model), function),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class _Entry(BaseModel):
    """A remembered calibration of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ranges: dict[str, tuple[float, float]] = Field(min_length=1)
    photos: tuple[Light, ...]
    coverage: StageCoverage


def _file_digests(model: Path) -> list[tuple[str, str]]:
    """Name and SHA-256 of a file, or of the files of a package."""
    if model.is_file():
        return [("", file_sha256(model))]
    # A package's own Manifest.json names its items by random identifiers.
    files = [path for path in sorted(model.rglob("*")) if path.is_file() and path != model / "Manifest.json"]
    return [(path.relative_to(model).as_posix(), file_sha256(path)) for path in files]


def _network_digest(network: torch.nn.Module) -> str:
    digest = hashlib.sha256(repr(network).encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()

"""A set of scenes as a folder: pictures that people can look at, and `scenes.json` that says how they were made.

`sharp/`, `blurred/` hold 8-bit PNG files, `disparity/`, `corrupted/` 16-bit ones (65535 is disparity 1), each named by
the scene's number: `000000.png`. A scene counts once `scenes.json` lists its lens, which happens last.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.files import read_file, write_file
from ...runtime_ref.pyramid import resize
from ..rendering.layered import SceneLens
from ..rendering.lens import Array
from .scenes import Scene, SceneSettings, TruthName, random_scene, truth_of
from .sources import Sources

RECORD = "scenes.json"
PLANES = {"sharp": 8, "blurred": 8, "disparity": 16, "corrupted": 16}
"""The folders of a set, and the bits of a value in their files."""
THUMBNAIL = 320
"""Side of a picture on the contact sheet, in pixels."""


class SetSettings(BaseModel):
    """What decides every scene of a set.

    Attributes:
        size: side of the square pictures in pixels; each is a whole photo.
        levels: doublings from the lowest level, of which one pixel is what a depth network resolves.
        seed: of all scenes; scene i depends on (seed, i) alone.
        real: share of surfaces taken from pictures, where there are any.
        sources: fingerprint of these pictures' names and sizes, see `fingerprint`.
        truth: how light reaches the sensor: ray by ray through the aperture, or each layer blurred by itself.
        samples: rays a pixel, if by rays.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=16, le=16384)
    levels: int = Field(ge=0, le=8)
    seed: int = Field(ge=0)
    real: float = Field(default=0.7, ge=0, le=1)
    sources: str = ""
    truth: TruthName = "aperture"
    samples: int = Field(default=256, ge=1)

    def difference(self, other: SetSettings) -> str | None:
        """The first setting in which another set differs, in words."""
        for name, mine in self:
            if (theirs := getattr(other, name)) != mine:
                return f"{name} {'none' if mine == '' else mine}, not {'none' if theirs == '' else theirs}"
        return None


class RecordedLens(BaseModel):
    """A scene's lens, see `SceneLens`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    focus: float = Field(ge=0, le=1)
    aperture: float = Field(ge=0, le=1)
    long_side: float = Field(gt=0, le=1e6)


class SetRecord(BaseModel):
    """What `scenes.json` holds: the format's version, the settings, and the lens of every finished scene."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    settings: SetSettings
    scenes: dict[int, RecordedLens] = {}


@dataclass(frozen=True)
class SceneSet:
    """The finished scenes of a folder, in the order of their numbers.

    Attributes:
        folder: where they lie.
        record: what its `scenes.json` says.
    """

    folder: Path
    record: SetRecord

    @classmethod
    def open(cls, folder: Path) -> SceneSet:
        """The set of a folder; pictures are read only when asked for.

        Raises:
            DofkitError: the folder holds no set, none that this version reads, or no finished scene.
        """
        found = cls(folder, _read_record(folder / RECORD))
        if not found.record.scenes:
            raise DofkitError(f"{folder}: no scene of the set is finished; run `dofkit generate scenes` again")
        return found

    def __len__(self) -> int:
        return len(self.record.scenes)

    def __getitem__(self, index: int) -> Scene:
        """A scene.

        Raises:
            DofkitError: a file is missing, broken, or of another size or kind than the set says.
        """
        number = self._number(index)
        sharp, blurred, disparity, corrupted = (self._plane(name, number) for name in PLANES)
        return Scene(sharp, blurred, disparity, corrupted, self.lens(index))

    def __iter__(self) -> Iterator[Scene]:
        return (self[index] for index in range(len(self)))

    def lens(self, index: int) -> SceneLens:
        """A scene's lens, without reading its pictures."""
        return SceneLens(**dict(self.record.scenes[self._number(index)]))

    def _number(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return sorted(self.record.scenes)[index]

    def _plane(self, name: str, number: int) -> Array:
        path = _file(self.folder, name, number)
        expected = "RGB" if PLANES[name] == 8 else "I;16"
        side = self.record.settings.size
        try:
            with Image.open(io.BytesIO(read_file(path))) as image:
                if (image.format, image.mode, image.size) != ("PNG", expected, (side, side)):
                    _refuse(path, f"is not the {side}x{side} PNG of {PLANES[name]} bits that the set names")
                values = np.asarray(image)
        except (OSError, SyntaxError, ValueError) as error:
            _refuse(path, f"cannot be read as a PNG ({error})")
        return values.astype(np.float32) * np.float32(1 / (2 ** PLANES[name] - 1))


def write_scenes(
    folder: Path,
    settings: SetSettings,
    sources: Sources,
    count: int,
    workers: int = 1,
    done: Callable[[int], None] | None = None,
) -> SceneSet:
    """Bring a set to `count` scenes; those that are finished stay, so an interrupted run goes on.

    Args:
        folder: of the set, made if need be.
        settings: of all scenes; the same as what the folder already holds.
        sources: real pictures; their fingerprint stands in the settings.
        count: scenes in all; the set stays larger if it already is.
        workers: processes. The scenes do not depend on their number.
        done: called with the number of finished scenes among the first `count`, first with those found.

    Raises:
        DofkitError: the folder holds a set of other settings, or cannot be written.
    """
    record = _resumed(folder, settings)
    finished = {number for number in record.scenes if number < count}
    missing = [number for number in range(count) if number not in finished]
    report = done or (lambda _: None)
    report(len(finished))
    for number, lens in _written(folder, settings, sources, missing, workers):
        record = record.model_copy(update={"scenes": dict(sorted({**record.scenes, number: lens}.items()))})
        write_file(folder / RECORD, record.model_dump_json(indent=1).encode())
        finished.add(number)
        report(len(finished))
    return SceneSet.open(folder)


def write_sheet(scenes: SceneSet, path: Path, count: int = 8) -> None:
    """A PNG of the first scenes, two a row, each as sharp | disparity | blurred."""
    tiles = [_tile(scenes[index]) for index in range(min(count, len(scenes)))]
    if len(tiles) % 2 and len(tiles) > 1:
        tiles.append(np.ones_like(tiles[0]))
    rows = [np.concatenate(tiles[start : start + 2], axis=1) for start in range(0, len(tiles), 2)]
    write_file(path, _png(np.concatenate(rows), 8))


def fingerprint(sources: Sources) -> str:
    """Of the names and sizes of all source files, not of where they lie; empty if there are none."""
    files = [*sources.photos, *(file for pair in sources.cutouts for file in pair)]
    names = sorted(f"{file.parent.name}/{file.name} {file.stat().st_size}" for file in files)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16] if names else ""


def _resumed(folder: Path, settings: SetSettings) -> SetRecord:
    """The record of the folder, a fresh one where there is none."""
    if not (folder / RECORD).exists():
        try:
            for name in PLANES:
                (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DofkitError(f"{folder}: cannot be made ({error.strerror}); choose another --out") from error
        write_file(folder / RECORD, SetRecord(settings=settings).model_dump_json(indent=1).encode())
    record = _read_record(folder / RECORD)
    if difference := record.settings.difference(settings):
        raise DofkitError(f"{folder} holds a set with {difference}; give the same options or another --out")
    return record


def _written(
    folder: Path, settings: SetSettings, sources: Sources, numbers: Sequence[int], workers: int
) -> Iterator[tuple[int, RecordedLens]]:
    """Make scenes, in this process or several; yields each when its pictures are on disk."""
    write = partial(_write_scene, folder, settings, sources)
    if workers <= 1:
        yield from map(write, numbers)
        return
    prepare = _one_thread if settings.truth == "aperture" else None
    with ProcessPoolExecutor(workers, get_context("spawn"), prepare) as pool:
        try:
            for job in as_completed([pool.submit(write, number) for number in numbers]):
                yield job.result()
        finally:  # after an error or Ctrl-C nothing new is begun
            pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    """PyTorch would take every core for each worker."""
    import torch

    torch.set_num_threads(1)


def _write_scene(folder: Path, settings: SetSettings, sources: Sources, number: int) -> tuple[int, RecordedLens]:
    """Draw, render and write one scene, all its files whole or not at all."""
    made = SceneSettings(settings.size, settings.levels, settings.real, whole=True)
    scene = random_scene((settings.seed, number), made, sources, truth_of(settings.truth, settings.samples))
    for name, bits in PLANES.items():
        write_file(_file(folder, name, number), _png(getattr(scene, name), bits))
    lens = scene.lens
    return number, RecordedLens(focus=lens.focus, aperture=lens.aperture, long_side=lens.long_side)


def _read_record(path: Path) -> SetRecord:
    try:
        return SetRecord.model_validate_json(read_file(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DofkitError(
            f"{path} is no record of scenes that this dofkit reads ({where}: {first['msg']}); generate the set again"
        ) from error


def _file(folder: Path, name: str, number: int) -> Path:
    return folder / name / f"{number:06d}.png"


def _png(values: Array, bits: int) -> bytes:
    """A PNG of [H, W] or [H, W, 3] in [0, 1]."""
    stream = io.BytesIO()
    Image.fromarray(np.round(values * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)).save(stream, "PNG")
    return stream.getvalue()


def _tile(scene: Scene) -> Array:
    """Sharp | disparity | blurred, small."""
    grey = np.repeat(scene.disparity[..., None], 3, axis=2)
    return np.concatenate([resize(p, (THUMBNAIL, THUMBNAIL)) for p in (scene.sharp, grey, scene.blurred)], axis=1)


def _refuse(path: Path, reason: str) -> NoReturn:
    raise DofkitError(f"{path} {reason}; remove scenes.json beside its folder and generate the set again")

"""A set of scenes as a folder: pictures that people can look at, and `scenes.json` that says how they were made.

`sharp/`, `blurred/` hold 8-bit PNG files, `disparity/`, `corrupted/` 16-bit ones (65535 is disparity 1), each named by
the scene's number: `000000.png`. A scene counts once `scenes.json` lists its lens, which happens last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ...runtime_ref.files import write_file
from ...runtime_ref.mapping import InTurn, Mapper, every_result
from ...runtime_ref.pipeline.resampling import resize
from ..rendering.layered import SceneLens
from ..rendering.lens import Array
from .picture_set import PictureSet, SetOptions, SetRecord, contact_sheet, picture_file, png, resumed
from .scenes import RULES, ComposedScene, SceneSettings, TruthName, random_scene, truth_of
from .sources import Sources

THUMBNAIL = 320
"""Side of a picture on the contact sheet, in pixels."""


class SetSettings(SetOptions):
    """What decides every scene of a set.

    Attributes:
        size: side of the square pictures in pixels; each is a whole photo.
        levels: doublings from the lowest level, of which one pixel is what a depth network resolves.
        seed: of all scenes; scene i depends on (seed, i) alone.
        real: share of surfaces taken from pictures, where there are any.
        sources: fingerprint of these pictures' names and sizes, see `fingerprint`.
        truth: how light reaches the sensor: ray by ray through the aperture, or each layer blurred by itself.
        samples: rays a pixel, if by rays.
        rules: version that the scenes are drawn by; sets that say none are of the first.
    """

    size: int = Field(ge=16, le=16384)
    levels: int = Field(ge=0, le=8)
    seed: int = Field(ge=0)
    real: float = Field(default=0.7, ge=0, le=1)
    sources: str = ""
    truth: TruthName = "aperture"
    samples: int = Field(default=256, ge=1)
    rules: int = Field(default=1, ge=1)


class RecordedLens(BaseModel):
    """A scene's lens, see `SceneLens`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    focus: float = Field(ge=0, le=1)
    aperture: float = Field(ge=0, le=1)
    long_side: float = Field(gt=0, le=1e6)


class SceneRecord(SetRecord):
    """What `scenes.json` holds: the format's version, the settings, and the lens of every finished scene."""

    FILE: ClassVar[str] = "scenes.json"
    HOLDS: ClassVar[str] = "scenes"
    ONE: ClassVar[str] = "scene"
    PLANES: ClassVar[Mapping[str, int]] = {"sharp": 8, "blurred": 8, "disparity": 16, "corrupted": 16}
    COMMAND: ClassVar[str] = "dofkit generate scenes"

    settings: SetSettings
    scenes: dict[int, RecordedLens] = Field(default_factory=dict)

    @property
    def finished(self) -> Collection[int]:
        return self.scenes.keys()


class SceneSet(PictureSet[SceneRecord, ComposedScene]):
    """The finished scenes of a folder."""

    KIND = SceneRecord

    def of(self, number: int) -> ComposedScene:
        sharp, blurred, disparity, corrupted = (self.plane(name, number) for name in SceneRecord.PLANES)
        return ComposedScene(sharp, blurred, disparity, corrupted, SceneLens(**dict(self.record.scenes[number])))


def write_scenes(
    folder: Path,
    settings: SetSettings,
    sources: Sources,
    count: int,
    mapper: Mapper | None = None,
    done: Callable[[int], None] | None = None,
) -> SceneSet:
    """Bring a set to `count` scenes; those that are finished stay, so an interrupted run goes on.

    Args:
        folder: of the set, made if need be.
        settings: of all scenes; the same as what the folder already holds. Its `rules` are replaced by those of today.
        sources: real pictures; their fingerprint stands in the settings.
        count: scenes in all; the set stays larger if it already is.
        mapper: where scenes are made, which does not change them. Default: here, in turn.
        done: called with the number of finished scenes among the first `count`, first with those found.

    Raises:
        DofkitError: the folder holds a set of other settings, or cannot be written.
    """
    settings = settings.model_copy(update={"rules": RULES})
    record = resumed(SceneRecord(settings=settings), folder)
    finished = {number for number in record.scenes if number < count}
    missing = [number for number in range(count) if number not in finished]
    report = done or (lambda _: None)
    report(len(finished))
    write = partial(_write_scene, folder, settings, sources)
    for number, lens in every_result((mapper or InTurn()).over(write, missing)):
        record = record.model_copy(update={"scenes": dict(sorted({**record.scenes, number: lens}.items()))})
        record.write(folder)
        finished.add(number)
        report(len(finished))
    return SceneSet.open(folder)


def write_sheet(scenes: SceneSet, path: Path, count: int = 8) -> None:
    """A PNG of the first scenes, two a row, each as sharp | disparity | blurred."""
    tiles = [_tile(scenes[index]) for index in range(min(count, len(scenes)))]
    write_file(path, contact_sheet(tiles))


def fingerprint(sources: Sources) -> str:
    """Of the names and sizes of all source files, not of where they lie; empty if there are none."""
    files = [*sources.photos, *(file for pair in sources.cutouts for file in pair)]
    names = sorted(f"{file.parent.name}/{file.name} {file.stat().st_size}" for file in files)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16] if names else ""


def _write_scene(folder: Path, settings: SetSettings, sources: Sources, number: int) -> tuple[int, RecordedLens]:
    """Draw, render and write one scene, all its files whole or not at all."""
    made = SceneSettings(settings.size, settings.levels, settings.real, whole=True)
    scene = random_scene((settings.seed, number), made, sources, truth_of(settings.truth, settings.samples))
    for name, bits in SceneRecord.PLANES.items():
        write_file(picture_file(folder, name, number), png(getattr(scene, name), bits))
    lens = scene.lens
    return number, RecordedLens(focus=lens.focus, aperture=lens.aperture, long_side=lens.long_side)


def _tile(scene: ComposedScene) -> Array:
    """Sharp | disparity | blurred, small."""
    grey = np.repeat(scene.disparity[..., None], 3, axis=2)
    return np.concatenate([resize(p, (THUMBNAIL, THUMBNAIL)) for p in (scene.sharp, grey, scene.blurred)], axis=1)

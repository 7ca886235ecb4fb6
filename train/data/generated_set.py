"""A set of generated photos as a folder: pictures that people can look at, and `samples.json` that says of what.

`images/` holds what the generator made all in focus, `shallow/` the same through its lens, both 8-bit PNG files;
`disparity/` 16-bit ones, 1 + round(65534 · d), for 0 means unknown there: the layout of any other image + depth folder.

Nobody told the generator any depth. Its signed defocus c at full aperture, at most L pixels, is all that it has, so
d = 0.5 + c / 2L: affine in 1/depth by scale and shift that nobody knows, 0.5 in focus. What the lens did is known all
the same: `SceneLens(0.5, s, 40 · 2L)` gives s · c again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from ...runtime_ref.bundle import file_sha256
from ...runtime_ref.files import write_file
from ...runtime_ref.mapping import InTurn, Mapper, every_result
from ...runtime_ref.pipeline.optics import LONG_SIDE_PER_RADIUS
from ...runtime_ref.pipeline.resampling import resize
from ..argan_config import Mixture
from ..networks.aperture_generator import ApertureGenerator, drawn_scales
from ..rendering.depth_colours import depth_colours
from ..rendering.layered import SceneLens
from ..rendering.lens import Array
from ..weights.generative import GENERATOR
from .picture_set import PictureSet, SetOptions, SetRecord, contact_sheet, picture_file, png, resumed

FOCUS = 0.5
"""Disparity of defocus 0."""
STEPS = 65534
"""Steps of disparity between 0 and 1."""
AT_ONCE = 16
"""Photos between two writings of the record, which grows with the set; the network travels to a process with them."""
THUMBNAIL = 128
"""Side of a picture on the contact sheet, in pixels."""


class GeneratedSettings(SetOptions):
    """What decides every photo of a set.

    Attributes:
        size: side of the square pictures in pixels.
        seed: of all photos; photo n depends on (seed, n) alone.
        generator: fingerprint of the weights, see `fingerprint`.
        aperture: s of every photo, or p(s) by the name it has in `ArganConfig`.
        reach: the largest defocus L as a share of the side.
    """

    size: int = Field(ge=32, le=16384)
    seed: int = Field(ge=0)
    generator: str
    aperture: Mixture | Annotated[float, Field(ge=0, le=1)]
    reach: float = Field(gt=0, le=1)

    @property
    def long_side(self) -> float:
        """Of the lens, in pixels: a disparity difference of 1 at aperture 1 blurs by 2L."""
        return LONG_SIDE_PER_RADIUS * 2 * self.reach * self.size


class RecordedScale(BaseModel):
    """A photo's s, what its defocus at full aperture was multiplied with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: float = Field(ge=0, le=1)


class GeneratedRecord(SetRecord):
    """What `samples.json` holds: the format's version, the settings, and s of every finished photo."""

    FILE: ClassVar[str] = "samples.json"
    HOLDS: ClassVar[str] = "generated photos"
    ONE: ClassVar[str] = "photo"
    PLANES: ClassVar[Mapping[str, int]] = {"images": 8, "shallow": 8, "disparity": 16}
    COMMAND: ClassVar[str] = "dofkit generate argan"

    settings: GeneratedSettings
    samples: dict[int, RecordedScale] = Field(default_factory=dict)

    @property
    def finished(self) -> Collection[int]:
        return self.samples.keys()


@dataclass(frozen=True)
class GeneratedPhoto:
    """A generated picture, its disparity, and what the generator's lens makes of it.

    Attributes:
        deep: [S, S, 3], all in focus, sRGB-encoded in [0, 1].
        shallow: [S, S, 3], through the lens, sRGB-encoded in [0, 1].
        disparity: [S, S] in [0, 1], 1 is nearest; its scale and shift are the generator's own.
        lens: such that its defocus of `disparity` is what the generator's lens was given.
    """

    deep: Array
    shallow: Array
    disparity: Array
    lens: SceneLens

    @property
    def colours(self) -> Array:
        """[S, S, 3], the disparity to look at: white is in focus, blue behind it, red nearer."""
        return _picture(depth_colours(torch.from_numpy((self.disparity - FOCUS) * 2)[None, None]))


class GeneratedSet(PictureSet[GeneratedRecord, GeneratedPhoto]):
    """The finished photos of a folder."""

    KIND = GeneratedRecord

    def of(self, number: int) -> GeneratedPhoto:
        lens = SceneLens(FOCUS, self.record.samples[number].scale, self.record.settings.long_side)
        deep, shallow = (self.plane(name, number) for name in ("images", "shallow"))
        return GeneratedPhoto(deep, shallow, self.disparity(number), lens)

    def disparity(self, number: int) -> Array:
        """Disparity [S, S] of the photo of this number."""
        return (self.plane("disparity", number) * np.float32(STEPS + 1) - 1) * np.float32(1 / STEPS)


def write_generated(
    folder: Path,
    network: ApertureGenerator,
    settings: GeneratedSettings,
    count: int,
    mapper: Mapper | None = None,
    done: Callable[[int], None] | None = None,
) -> GeneratedSet:
    """Bring a set to `count` photos; those that are finished stay, so an interrupted run goes on.

    Args:
        folder: of the set, made if need be.
        network: the generator, in evaluation mode, on the CPU.
        settings: of all photos, see `settings_of`; the same as what the folder already holds.
        count: photos in all; the set stays larger if it already is.
        mapper: where photos are made, which does not change them. Default: here, in turn.
        done: called with the number of finished photos among the first `count`, first with those found.

    Raises:
        DofkitError: the folder holds a set of other settings, or cannot be written.
    """
    record = resumed(GeneratedRecord(settings=settings), folder)
    missing = [number for number in range(count) if number not in record.samples]
    report = done or (lambda _: None)
    report(count - len(missing))
    write = partial(_write_photos, folder, network, settings)
    portions = [tuple(missing[start : start + AT_ONCE]) for start in range(0, len(missing), AT_ONCE)]
    for fresh in every_result((mapper or InTurn()).over(write, portions)):
        record = record.model_copy(update={"samples": dict(sorted({**record.samples, **fresh}.items()))})
        record.write(folder)
        report(sum(number < count for number in record.samples))
    return GeneratedSet.open(folder)


def settings_of(network: ApertureGenerator, weights: Path, seed: int, aperture: float | None) -> GeneratedSettings:
    """Of a set by this generator.

    Args:
        network: the generator.
        weights: its file, or the folder of a training that holds it.
        seed: of all photos.
        aperture: s of every photo; None draws it as in the generator's training.
    """
    config = network.config
    return GeneratedSettings(
        size=config.size,
        seed=seed,
        generator=fingerprint(weights),
        aperture=config.mixture if aperture is None else aperture,
        reach=config.reach,
    )


def fingerprint(weights: Path) -> str:
    """16 hexadecimal digits of the file of weights, or of the one in the folder."""
    return file_sha256(GENERATOR.at(weights))[:16]


def drawn(settings: GeneratedSettings, latent: int, number: int) -> tuple[torch.Tensor, float]:
    """z [1, latent] and s of a photo, from its seed and number alone; z does not depend on p(s)."""
    (state,) = np.random.SeedSequence((settings.seed, number)).generate_state(1, np.uint64)
    rng = torch.Generator().manual_seed(int(state))
    z = torch.randn(1, latent, generator=rng)
    if isinstance(settings.aperture, str):
        return z, drawn_scales(1, settings.aperture, rng).item()
    return z, settings.aperture


def write_sheet(photos: GeneratedSet, path: Path, count: int = 12) -> None:
    """A PNG of the first photos, two a row, each as deep | shallow | disparity: white is in focus, red is nearer."""
    write_file(path, contact_sheet([_tile(photos[index]) for index in range(min(count, len(photos)))]))


def _write_photos(
    folder: Path, network: ApertureGenerator, settings: GeneratedSettings, numbers: tuple[int, ...]
) -> dict[int, RecordedScale]:
    return {number: _write_photo(folder, network, settings, number) for number in numbers}


@torch.inference_mode()
def _write_photo(folder: Path, network: ApertureGenerator, settings: GeneratedSettings, number: int) -> RecordedScale:
    """Generate and write one photo, all its files whole or not at all.

    Each by itself: in a batch the last bits depend on its size, and with them now and then a byte of the file. On one
    core that costs a quarter of the time.
    """
    z, scale = drawn(settings, network.latent, number)
    made = network(z, torch.full((1, 1, 1, 1), scale))
    disparity = FOCUS + made.defocus[0, 0].double().numpy() / (2 * network.largest_defocus)
    planes: Sequence[Array] = (_picture(made.deep), _picture(made.shallow), (1 + STEPS * disparity) / (1 + STEPS))
    for (name, bits), plane in zip(GeneratedRecord.PLANES.items(), planes, strict=True):
        write_file(picture_file(folder, name, number), png(plane, bits))
    return RecordedScale(scale=scale)


def _picture(pixels: torch.Tensor) -> Array:
    """[1, 3, S, S] → [S, S, 3]."""
    return pixels[0].permute(1, 2, 0).numpy()


def _tile(photo: GeneratedPhoto) -> Array:
    """Deep | shallow | disparity."""
    shown = (photo.deep, photo.shallow, photo.colours)
    return np.concatenate([resize(plane, (THUMBNAIL, THUMBNAIL)) for plane in shown], axis=1)

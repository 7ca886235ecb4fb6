"""Golden cases: what PyTorch computes on real photos and on a hard synthetic picture, stage by stage and end to end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ..runtime_ref.errors import require
from ..runtime_ref.golden import GoldenArrays, golden_arrays
from ..runtime_ref.imageio import read_photo
from ..runtime_ref.optics import auto_focus
from ..runtime_ref.pipeline import Array, Lens, PortraitPipeline, depth_input, to_network
from ..runtime_ref.plan import PipelinePlan
from ..runtime_ref.pyramid import halve
from ..runtime_ref.stage import Stage
from ..train.session import TorchSession, torch_sessions

PHOTO_LONG_SIDE = 1280  # a user's photo is reduced to this: two upsamplings, and a bundle of some megabytes
HARD_SIZE = (640, 768)  # two upsamplings, and padding on neither side nor tiles that divide it


@dataclass(frozen=True)
class GoldenPicture:
    """A picture to compute a golden case from; `pixels` are uint8 `[H, W, 3]`."""

    name: str
    kind: Literal["photo", "synthetic"]
    pixels: NDArray[np.uint8]
    note: str


@dataclass
class _Recorder:
    """A session that remembers its most telling call: the one whose defocus varies most, or the only one."""

    session: TorchSession
    inputs: Mapping[str, Array] = field(default_factory=dict)
    output: Array | None = None
    _spread: float = -1.0

    @property
    def runtime(self) -> str:
        return self.session.runtime

    def run(self, inputs: Mapping[str, Array]) -> Array:
        output = self.session.run(inputs)
        maps = [values for name, values in inputs.items() if name.startswith("defocus")]
        spread = float(maps[0].std()) if maps else 0.0
        if spread > self._spread:
            self.inputs, self.output, self._spread = inputs, output, spread
        return output


def golden_pictures(photos: tuple[Path, ...]) -> Iterator[GoldenPicture]:
    """The pictures of all cases: the user's photos, or scikit-image's astronaut, and the hard synthetic one."""
    for path in photos:
        pixels = _reduced(read_photo(path).pixels)
        yield GoldenPicture(path.stem, "photo", pixels, f"photo {path.name}, long side at most {PHOTO_LONG_SIDE}")
    if not photos:
        data = require("skimage.data", "onnx", "the golden photo")
        yield GoldenPicture("astronaut", "photo", data.astronaut(), "Eileen Collins, NASA, public domain")
    note = "flat areas, small clipped lights, one-pixel lines, saturated edges and a ramp; defocus −1, 0 and +1"
    yield GoldenPicture("hard", "synthetic", hard_picture(*HARD_SIZE), note)


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = require("PIL.Image", "all", "reading photos")
    picture = image.fromarray(pixels)
    picture.thumbnail((PHOTO_LONG_SIDE, PHOTO_LONG_SIDE), image.Resampling.LANCZOS)
    return np.asarray(picture)


def hard_picture(height: int, width: int) -> NDArray[np.uint8]:
    """A picture of what networks and runtimes get wrong, uint8 `[height, width, 3]`.

    Quadrants: a flat grey beside pure black and white; clipped lights of 1 to 9 pixels on black; horizontal, vertical
    and diagonal one-pixel lines; saturated colours meeting at hard edges and over a ramp.
    """
    picture = np.zeros((height, width, 3), np.uint8)
    rows, columns = np.mgrid[:height, :width]
    top, left = height // 2, width // 2
    picture[:top, : left // 2] = 119
    picture[: top // 2, left // 2 : left] = 255
    for index, size in enumerate(range(1, 10)):
        y, x = top // 6 + (index % 3) * top // 3, left + left // 6 + (index // 3) * left // 3
        picture[y : y + size, x : x + size] = 255
    lines = (rows % 8 == 0) | (columns % 16 == 0) | ((rows + columns) % 32 == 0)
    picture[top:, :left][lines[top:, :left]] = (255, 240, 200)
    ramp = (255 * (columns - left) / max(width - left - 1, 1)).clip(0, 255)
    for channel in range(3):
        stripe = (rows // 24) % 3 == channel
        beside = np.where(columns % 48 < 24, 0, ramp)
        picture[top:, left:, channel] = np.where(stripe, 255, beside)[top:, left:]
    return picture


def golden_case(
    picture: GoldenPicture, networks: Mapping[Stage, torch.nn.Module], plan: PipelinePlan
) -> tuple[GoldenArrays, Lens]:
    """Compute a case with PyTorch fp32, tiled as the bundle's plan says."""
    recorders = {stage: _Recorder(session) for stage, session in torch_sessions(networks).items()}
    pipeline = PortraitPipeline(recorders, plan)
    disparity = pipeline.disparity(picture.pixels)
    lens = Lens(focus=round(auto_focus(disparity), 4), aperture=1.0)
    rendered = pipeline.render(picture.pixels, disparity, lens, np.float32)
    if picture.kind == "synthetic":
        _feed_extremes(recorders, picture.pixels, plan)
    stages = {}
    for stage, recorder in recorders.items():
        if recorder.output is None:  # a picture that is sharp everywhere never calls the network
            _feed_extremes(recorders, picture.pixels, plan)
        assert recorder.output is not None
        stages[stage] = (recorder.inputs, recorder.output)
    return golden_arrays(picture.pixels, rendered.astype(np.float32), stages), lens


def _feed_extremes(recorders: Mapping[Stage, _Recorder], pixels: NDArray[np.uint8], plan: PipelinePlan) -> None:
    """Run every stage on the middle of the picture, with a defocus of −1, 0, +1 and everything between."""
    recorders[Stage.DEPTH].run({"image": depth_input(pixels, plan.depth_size)})
    for stage, tile in ((Stage.LENS_BLUR, plan.lens_blur.tile), (Stage.GUIDED_UPSAMPLING, plan.guided_upsampling.tile)):
        assert tile is not None
        high = _middle(pixels, 2 * tile)
        low = halve(high, (tile, tile))
        extremes = to_network(_extreme_defocus(tile))
        if stage is Stage.LENS_BLUR:
            recorders[stage].run({"image": to_network(low), "defocus": extremes})
        else:
            inputs = {"image_low": to_network(low), "blurred_low": to_network(low[::-1, ::-1])}
            recorders[stage].run({"image_high": to_network(high), **inputs, "defocus_low": extremes})


def _middle(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The middle `side` × `side` pixels, the edge repeated where the picture is smaller."""
    rows, columns = (np.clip(np.arange(side) + (n - side) // 2, 0, n - 1) for n in pixels.shape[:2])
    return pixels[rows[:, None], columns]


def _extreme_defocus(side: int) -> Array:
    """`[side, side]`: quarters of −1, 0 and +1 with hard edges between them, and a ramp over the whole range."""
    half = side // 2
    defocus = np.full((side, side), -1, np.float32)
    defocus[:half, half:] = 0
    defocus[half:, :half] = 1
    defocus[half:, half:] = np.linspace(-1, 1, side - half, dtype=np.float32)
    return defocus

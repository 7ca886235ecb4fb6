"""A focal stack as files in: depth, disparity and an all-in-focus picture as files out."""

from __future__ import annotations

import io
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from .focal_providers import FocalProvider
from .runtime_ref.errors import DofkitError
from .runtime_ref.files import write_file
from .runtime_ref.imageio import write_disparity, write_photo
from .runtime_ref.pipeline.refinement import upsampled_disparity
from .train.data.real_stacks import read_stack, without_breathing
from .train.data.relative_sweep import evenly, likeliest_strength, relative_sweep
from .train.networks.focus_matching import sharpest_seen
from .train.rendering.defocus import ThinLensCamera
from .train.rendering.focus_sweep import FocusSweep

Bytes = NDArray[np.uint8]
Array = NDArray[np.float32]
BAND, AROUND = 256, 3
"""Rows of a full picture that are merged at a time, and how many around them are looked at."""


@dataclass(frozen=True)
class StackRequest:
    """What is known and wanted.

    Attributes:
        paths: the slices, the nearest focus first unless distances say otherwise.
        focus: distances in metres; None: unknown.
        camera: of the slices at their full size; needed with distances.
        far_first: without distances, the first slice is focused farthest.
        align: undo focus breathing.
        near, far: depths asked for in metres; None: half the nearest focus, twice the farthest.
    """

    paths: tuple[Path, ...]
    focus: tuple[float, ...] | None = None
    camera: ThinLensCamera | None = None
    far_first: bool = False
    align: bool = True
    near: float | None = None
    far: float | None = None


@dataclass(frozen=True)
class StackResult:
    """What was made.

    Attributes:
        out: folder.
        slices: used.
        width, height: of the pictures.
        metric: whether depth.png is in millimetres; else distances were unknown and there is a disparity only.
        strength: without distances, the blur that was found likeliest; see `likeliest_strength`.
        breathing: largest change of magnification that was undone, as a share.
        seconds: that it took.
        files: written.
        runtime: what looked at it.
    """

    out: str
    slices: int
    width: int
    height: int
    metric: bool
    strength: float | None
    breathing: float
    seconds: float
    files: tuple[str, ...]
    runtime: str

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def depth_of_stack(provider: FocalProvider, request: StackRequest, out: Path) -> StackResult:
    """Look at a stack and write `all_in_focus.png`, `disparity.png` and, where distances are known, `depth.png` of 16
    bits, in millimetres, to `out`.

    Raises:
        DofkitError: the stack cannot be read, what is said of it does not fit, or `out` cannot be written.
    """
    started = time.perf_counter()
    _check(request)
    if out.exists() and not out.is_dir():
        raise DofkitError(f"{out}: is a file; give a folder for --out")
    slices = read_stack(request.paths)
    moves = [0.0]
    if request.align:
        slices, similarities = without_breathing(slices)
        moves = [abs(one.zoom) for one in similarities]
    numbers = provider.chosen(len(slices))
    slices = [slices[number] for number in numbers]
    small = provider.reduced(slices)
    factor = max(slices[0].size) / max(small.shape[1:3])
    sweep, strength = _sweep(request, numbers, factor, small)
    disparity, picture = provider.look(small, sweep)
    full = np.stack([np.asarray(one) for one in slices])
    disparity = np.clip(_to_size(disparity, full[len(full) // 2]), 0, 1)
    inverse = disparity * (1 / sweep.near - 1 / sweep.far) + 1 / sweep.far
    out.mkdir(parents=True, exist_ok=True)
    if full.shape != small.shape:  # what the network restores, it restores at its own size
        picture = all_in_focus(full, inverse, sweep, factor)
    write_photo(out / "all_in_focus.png", picture)
    write_disparity(out / "disparity.png", disparity)
    files = ["all_in_focus.png", "disparity.png"]
    if request.focus is not None:
        _write_millimetres(out / "depth.png", np.asarray(1 / inverse, np.float32))
        files.append("depth.png")
    height, width = disparity.shape
    seconds = round(time.perf_counter() - started, 2)
    metric, most = request.focus is not None, round(max(moves), 4)
    return StackResult(
        str(out), len(slices), width, height, metric, strength, most, seconds, tuple(files), provider.runtime
    )


def _check(request: StackRequest) -> None:
    """What is said of a stack fits together."""
    if request.focus is not None and len(request.focus) != len(request.paths):
        raise DofkitError(
            f"{len(request.focus)} focus distances for {len(request.paths)} slices; give one for each, in their order"
        )
    if request.focus is not None and request.camera is None:
        raise DofkitError("focus distances without a camera say nothing of blur; give its lens and pixels as well")


def _sweep(request: StackRequest, numbers: list[int], factor: float, small: Bytes) -> tuple[FocusSweep, float | None]:
    """How the stack was taken, at the network's size; and what was guessed of it."""
    if request.focus is not None and request.camera is not None:
        focus = tuple(request.focus[number] for number in numbers)
        near, far = request.near or min(focus) / 2, request.far or 2 * max(focus)
        return FocusSweep(request.camera.reduced(factor), focus, near, far), None
    places = evenly(len(numbers))
    places = places[::-1] if request.far_first else places
    strength = likeliest_strength(small, places)
    return relative_sweep(places, strength), strength


def _to_size(disparity: Array, guide: Bytes) -> Array:
    """A map at the guide's size, its edges where the guide has them."""
    size = guide.shape[:2]
    return disparity if disparity.shape == size else upsampled_disparity(disparity, guide, max(size))


def all_in_focus(stack: Bytes, inverse: Array, sweep: FocusSweep, factor: float) -> Bytes:
    """uint8 [H, W, 3]: of each pixel the slices that are sharpest at its depth.

    Args:
        stack: uint8 [S, H, W, 3].
        inverse: [H, W], 1 / depth.
        sweep: at 1 / `factor` of the stack's size.
        factor: by which the stack is larger than what `sweep` speaks of.
    """
    camera = replace(sweep.camera, pixel=sweep.camera.pixel / factor)
    rows, merged = stack.shape[1], np.empty_like(stack[0])
    for top in range(0, rows, BAND):  # ten slices of twelve megapixels in floats would take gigabytes
        above, below = max(0, top - AROUND), min(rows, top + BAND + AROUND)
        pixels = torch.from_numpy(stack[:, above:below]).movedim(-1, 1)[None].float() / 255
        depth = 1 / torch.from_numpy(inverse[above:below])
        radius = torch.stack([camera.radius(depth, focus) for focus in sweep.focus])[None]
        band = (pixels * sharpest_seen(pixels, radius)[:, :, None]).sum(1)[0].movedim(0, -1)
        band = np.rint(band.numpy() * 255).clip(0, 255).astype(np.uint8)
        merged[top : top + BAND] = band[top - above :][:BAND]
    return merged


def _write_millimetres(path: Path, depth: Array) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.rint(depth * 1000).clip(1, 65535).astype(np.uint16)).save(buffer, "PNG")
    write_file(path, buffer.getvalue())

"""A focal stack as files in: depth, disparity and an all-in-focus picture as files out."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from .runtime_ref.errors import DofkitError
from .runtime_ref.files import write_file
from .runtime_ref.imageio import upsampled_disparity, write_disparity, write_photo
from .train.data.real_stacks import read_stack, without_breathing
from .train.networks.focal_depth import SLICES, FocalDepthNet
from .train.networks.focus_matching import NOISE, luminance, matching_costs, sharpest_seen
from .train.rendering.defocus import ThinLensCamera
from .train.rendering.focus_sweep import FocusSweep

Bytes = NDArray[np.uint8]
Array = NDArray[np.float32]
DIOPTRES = (2.0, 1.0)
"""Of a stack whose distances nobody knows: it is taken to go evenly from the one to the other. What comes out is right
up to scale and shift of the disparity."""
MARGIN = 0.15
"""By what share of its own length such a sweep may be exceeded."""
STRENGTHS = (3.0, 4.5, 6.5, 9.5, 14.0, 20.0, 30.0)
"""Pixels of radius by which the last slice may blur what the first has in focus: the likeliest is taken."""
BAND, AROUND = 256, 3
"""Rows of a full picture that are merged at a time, and how many around them are looked at."""
TRIED = 256
"""Longer side in pixels at which that is tried."""


@dataclass(frozen=True)
class StackRequest:
    """What is known and wanted.

    Attributes:
        paths: the slices, the nearest focus first unless distances say otherwise.
        focus: distances in metres; None: unknown.
        camera: of the slices at their full size; needed with distances.
        far_first: without distances, the first slice is focused farthest.
        align: undo focus breathing.
        side: longer side in pixels at which the network works.
        near, far: depths asked for in metres; None: half the nearest focus, twice the farthest.
    """

    paths: tuple[Path, ...]
    focus: tuple[float, ...] | None = None
    camera: ThinLensCamera | None = None
    far_first: bool = False
    align: bool = True
    side: int = 640
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
        strength: without distances, the blur that was found likeliest; see `STRENGTHS`.
        breathing: largest change of magnification that was undone, as a share.
        seconds: that it took.
        files: written.
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

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def depth_of_stack(network: FocalDepthNet, request: StackRequest, out: Path) -> StackResult:
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
    numbers = _chosen(len(slices))
    slices = [slices[number] for number in numbers]
    small = _reduced(slices, request.side, network.multiple)
    factor = max(slices[0].size) / max(small.shape[1:3])
    sweep, strength = _sweep(request, numbers, factor, small)
    place, picture = _looked_at(network, small, sweep)
    depths = network.config.depths
    inverse = 1 / sweep.depth_at(torch.from_numpy(place), depths).numpy()
    disparity = (inverse - 1 / sweep.far) / (1 / sweep.near - 1 / sweep.far)
    full = np.stack([np.asarray(one) for one in slices])
    disparity = np.clip(_to_size(disparity.astype(np.float32), full[len(full) // 2]), 0, 1)
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
    return StackResult(str(out), len(slices), width, height, metric, strength, most, seconds, tuple(files))


def _check(request: StackRequest) -> None:
    """What is said of a stack fits together."""
    if request.focus is not None and len(request.focus) != len(request.paths):
        raise DofkitError(
            f"{len(request.focus)} focus distances for {len(request.paths)} slices; give one for each, in their order"
        )
    if request.focus is not None and request.camera is None:
        raise DofkitError("focus distances without a camera say nothing of blur; give its lens and pixels as well")


def _chosen(count: int) -> list[int]:
    """At most ten of the slices, evenly."""
    return np.unique(np.linspace(0, count - 1, min(count, SLICES[1])).round().astype(int)).tolist()


def _reduced(slices: Sequence[Image.Image], side: int, multiple: int) -> Bytes:
    """uint8 [S, h, w, 3], sides multiples of what the network takes."""
    width, height = slices[0].size
    scale = min(1.0, side / max(width, height))
    across, down = (max(multiple, round(scale * one / multiple) * multiple) for one in (width, height))
    return np.stack([np.asarray(one.resize((across, down), Image.Resampling.LANCZOS)) for one in slices])


def _sweep(request: StackRequest, numbers: list[int], factor: float, small: Bytes) -> tuple[FocusSweep, float | None]:
    """How the stack was taken, at the network's size; and what was guessed of it."""
    if request.focus is not None and request.camera is not None:
        focus = tuple(request.focus[number] for number in numbers)
        near, far = request.near or min(focus) / 2, request.far or 2 * max(focus)
        return FocusSweep(request.camera.reduced(factor), focus, near, far), None
    steps = -(-max(small.shape[1:3]) // TRIED)
    tried = small[:, : small.shape[1] // steps * steps, : small.shape[2] // steps * steps]
    means = tried.reshape(len(small), tried.shape[1] // steps, steps, tried.shape[2] // steps, steps, 3).mean((2, 4))
    grey = luminance(torch.from_numpy(means.astype(np.float32) / 255).movedim(-1, 1)[None])
    sweeps = {strength: relative_sweep(len(numbers), strength / steps, request.far_first) for strength in STRENGTHS}
    misfits = {strength: _misfit(grey, sweep) for strength, sweep in sweeps.items()}
    strength = min(misfits, key=lambda one: misfits[one])
    return relative_sweep(len(numbers), strength, request.far_first), strength


def relative_sweep(count: int, strength: float, far_first: bool = False) -> FocusSweep:
    """A sweep for slices of which only the order is known.

    Args:
        count: of slices.
        strength: pixels of radius by which the last slice blurs what the first has in focus.
        far_first: the first slice is focused farthest.
    """
    first, last = DIOPTRES
    length = first - last
    focal_length, f_number = 10e-3, 2.0
    camera = ThinLensCamera(focal_length, f_number, focal_length**2 / f_number / 2 / (strength / length))
    focus = tuple((1 / np.linspace(first, last, count)).tolist())
    near, far = 1 / (first + MARGIN * length), 1 / (last - MARGIN * length)
    return FocusSweep(camera, focus[::-1] if far_first else focus, near, far)


def _misfit(grey: torch.Tensor, sweep: FocusSweep) -> float:
    """How badly the best depth of each pixel explains a stack, mean over the pixels of the logarithm."""
    with torch.inference_mode():
        costs = torch.log(matching_costs(grey, sweep.radius(16)[None]) + NOISE)
        return float(torch.nn.functional.avg_pool2d(costs, 5, 1, 2).amin(1).mean())


def _looked_at(network: FocalDepthNet, small: Bytes, sweep: FocusSweep) -> tuple[Array, Bytes]:
    """Places [h, w] among the network's depths, and the picture uint8 [h, w, 3]."""
    pixels = torch.from_numpy(small).movedim(-1, 1)[None].float() / 255
    with torch.inference_mode():
        found = network(pixels, sweep.radius(network.config.depths)[None])
    return found.place[0, 0].numpy(), np.rint(found.picture[0].movedim(0, -1).numpy() * 255).astype(np.uint8)


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

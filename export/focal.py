"""The stage of focal stacks in an export: what is offered of it, and the stacks of its golden vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..runtime_ref.backends import Session
from ..runtime_ref.bundle.golden import StageArrays
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.pipeline.aspects import Size
from ..runtime_ref.pipeline.portrait import Array
from ..runtime_ref.pipeline.stage import DEPTHS, Stage
from ..runtime_ref.target import Precision
from ..train.data.focal_stacks import DeepPicture, render_stack
from ..train.rendering.defocus import ThinLensCamera
from ..train.rendering.focus_sweep import SWEEPS, FocusSweep
from .coreml.options import CoreMLOptions
from .stages import StackSize

OFFERED = (Precision.FP32, Precision.FP16, Precision.W8)
"""Others lose depth that nobody measured."""
NEAR, FAR = 0.7, 8.0
"""Metres that disparities 1 and 0 of a golden picture stand for: things before, between and behind the planes in
focus."""
WIDTH = 320
"""Pixels of width that the camera of the golden stacks speaks of."""


def refuse_unoffered(precisions: Sequence[Precision], coreml: CoreMLOptions) -> None:
    """Refuse what the stage is not exported in.

    Raises:
        DofkitError: naming it, and what there is.
    """
    wrong = next((precision for precision in precisions if precision not in OFFERED), None)
    if wrong is not None:
        there = ", ".join(map(str, OFFERED))
        raise DofkitError(f"--precision {wrong}: {Stage.FOCAL_DEPTH} is exported in {there}; export it on its own")
    if coreml.image_inputs or coreml.image_outputs:
        raise DofkitError(
            f"{Stage.FOCAL_DEPTH} takes a whole stack, which no camera buffer holds; export it without image inputs "
            "and outputs, on its own"
        )


@dataclass(frozen=True)
class GoldenStack:
    """Photographs a picture at several focus distances, and asks a session for what is right; see `Further`."""

    session: Session
    stack: StackSize

    def __call__(self, pixels: NDArray[np.uint8], disparity: Array) -> Mapping[Stage, StageArrays]:
        """Of pixels [H, W, 3] and disparity [h, w]: the middle part that has the stack's aspect."""
        height, width = self.stack.size
        photo = np.asarray(_filling(Image.fromarray(pixels), self.stack.size))
        nearness = np.asarray(_filling(Image.fromarray(np.asarray(disparity, np.float32)), self.stack.size))
        depth = 1 / (1 / FAR + nearness.clip(0, 1) * (1 / NEAR - 1 / FAR))
        sweep = golden_sweep(self.stack)
        source = DeepPicture("golden", photo, depth.astype(np.float32), np.ones((height, width), np.bool_))
        slices = render_stack(source, sweep, discs=True, linear=True)
        inputs = {
            "stack": np.ascontiguousarray(np.moveaxis(slices, -1, 1), np.float32) / np.float32(255),
            "radius": sweep.radius(DEPTHS)[:, :, None, None].numpy(),
        }
        return {Stage.FOCAL_DEPTH: (inputs, self.session.run(inputs))}


def golden_sweep(stack: StackSize) -> FocusSweep:
    """50 mm at f/8, focused evenly in 1 / distance from 1 to 6 m."""
    usual = SWEEPS["nyu"]
    camera = ThinLensCamera(
        usual.camera.focal_length, usual.camera.f_number, usual.camera.pixel * WIDTH / max(stack.size)
    )
    focus = 1 / torch.linspace(1 / usual.focus[0], 1 / usual.focus[-1], stack.slices)
    return FocusSweep(camera, tuple(focus.tolist()), usual.near, usual.far)


def _filling(image: Image.Image, size: Size) -> Image.Image:
    """The middle part of a picture or map that has the aspect of (height, width), at that size."""
    height, width = size
    scale = min(image.width / width, image.height / height)
    left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
    box = (left, top, left + scale * width, top + scale * height)
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box)

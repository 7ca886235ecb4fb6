"""What the host computes between photo and networks, by the package: what every kit's pipeline is held against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from dofkit.runtime_ref.pipeline.optics import widen_focus
from dofkit.runtime_ref.pipeline.plan import PipelinePlan, TileSpec
from dofkit.runtime_ref.pipeline.portrait import DefocusLevels, Lens, depth_input
from dofkit.runtime_ref.pipeline.pyramid import Pyramid, build_levels
from dofkit.runtime_ref.pipeline.subject import auto_focus, focus_at

PLAN = PipelinePlan(
    depth_height=64,
    depth_width=64,
    further_depth_sizes=((96, 64), (64, 96)),
    lens_blur=TileSpec(tile=64, halo=8, align=4),
    guided_upsampling=TileSpec(tile=48, halo=8, align=4),
)


@dataclass(frozen=True)
class HostCase:
    """A made-up photo and map of those (height, width), and what the photographer chose."""

    photo: tuple[int, int]
    map: tuple[int, int]
    aperture: float
    held: float
    tap: tuple[float, float]

    @property
    def name(self) -> str:
        """For the test's own name."""
        return f"{self.photo[0]}x{self.photo[1]}, map {self.map[0]}x{self.map[1]}, α {self.aperture:g}"


CASES = (
    HostCase((427, 641), (512, 768), 1.0, 0.0, (0.52, 0.4)),  # odd sides, a map slightly finer than the photo
    HostCase((320, 213), (427, 640), 0.8, 0.0, (0.1, 0.9)),  # one level, a map three times finer: thin things
    HostCase((97, 650), (33, 41), 0.2, 0.25, (0.99, 0.0)),  # weak blur, a predicted map
    HostCase((85, 1281), (170, 1281), 0.9, 0.0, (0.0, 1.0)),  # three levels, axes of other ratios
)


def made_up(case: HostCase) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A photo of ramps and noise, and a map of ground, subject and hairs."""
    rng = np.random.default_rng(sum(case.photo))
    rows, columns = np.mgrid[: case.photo[0], : case.photo[1]]
    noise = rng.integers(0, 90, (*case.photo, 3))
    photo = (np.stack([rows % 128, columns % 160, (rows + columns) % 96], axis=2) + noise).astype(np.uint8)
    rows, columns = np.mgrid[: case.map[0], : case.map[1]] / np.array(case.map).reshape(2, 1, 1)
    disparity = 0.1 + 0.25 * rows + 0.02 * rng.random(case.map)
    disparity[(rows - 0.5) ** 2 + (columns - 0.5) ** 2 < 0.06] = 0.7
    disparity[:, 7::53] = 0.95
    disparity[11::71, 1::2] = 0.9
    return photo, disparity.astype(np.float32)


def host_steps(case: HostCase) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """All tensors of a case by name, maps `[h, w]`, images `[h, w, 3]`, and its numbers."""
    photo, disparity = made_up(case)
    focus = auto_focus(disparity)
    lens = Lens(focus, case.aperture)
    moved = widen_focus(disparity, focus, case.held)
    levels = DefocusLevels.of(photo.shape, moved, lens)
    size = PLAN.depth_shape_for(*case.photo)
    tensors: dict[str, NDArray[Any]] = {
        "photo": photo,
        "map": disparity,
        "depth_input": depth_input(photo, size)[0].transpose(1, 2, 0),
        "held": moved,
        "blurred": levels.blurred,
    }
    pyramid = Pyramid.of(*case.photo)
    tensors |= {f"image_{k}": image for k, image in enumerate(build_levels(photo, pyramid)[:-1])}
    tensors |= {f"upsampled_{k}": radius for k, radius in enumerate(levels.upsampled)}
    numbers = {
        "plan": PLAN.model_dump(mode="json"),
        "aperture": case.aperture,
        "held": case.held,
        "tap": {"x": case.tap[0], "y": case.tap[1]},
        "auto_focus": focus,
        "tap_focus": focus_at(disparity, *case.tap, min(0.1, case.held)),
    }
    return tensors, numbers


def write_steps(case: HostCase, path: Path) -> dict[str, Any]:
    """Write a case's tensors; its numbers."""
    tensors, numbers = host_steps(case)
    path.write_bytes(save({name: np.ascontiguousarray(values) for name, values in tensors.items()}))
    return numbers

"""The step vectors of docs/pipeline.md, as the package computes them. Run it as a module to write the file anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from dofkit.runtime_ref.pipeline.optics import defocus, network_defocus, widen_focus
from dofkit.runtime_ref.pipeline.portrait import Lens, levels_for
from dofkit.runtime_ref.pipeline.pyramid import build_levels, disparity_at_level
from dofkit.runtime_ref.pipeline.tiling import TilePlan

FILE = Path(__file__).parent.parent.parent / "docs" / "vectors" / "steps.safetensors"
LENS = Lens(focus=0.3, aperture=0.95)
HELD = 0.1
TILE, HALO = 24, 4


def made_up_photo() -> NDArray[np.uint8]:
    """uint8 `[10, 1270, 3]`: stripes, a ramp and noise."""
    rows, columns = np.mgrid[:10, :1270]
    noise = np.random.default_rng(1).integers(0, 60, (10, 1270))
    planes = (columns // 5 + noise, 255 * ((rows + columns // 3) % 2), 3 * columns % 256)
    return np.stack(planes, axis=2).clip(0, 255).astype(np.uint8)


def made_up_disparity() -> NDArray[np.float32]:
    """float32 `[9, 1000]`: a receding ground, a subject, and hairs of one to three values before it."""
    rows, columns = np.mgrid[:9, :1000]
    disparity = (columns / 1000 * 0.25 + rows / 100).astype(np.float32)
    disparity[2:8, 300:520] = 0.7
    for start in range(20, 980, 37):
        disparity[start % 4 : start % 4 + 4, start : start + 1 + start % 3] = 0.95
    return disparity


def step_vectors() -> dict[str, NDArray[Any]]:
    """All tensors of the file by name."""
    photo, disparity = made_up_photo(), made_up_disparity()
    levels = levels_for(photo.shape, disparity, LENS)
    images = build_levels(photo, levels)
    maps = {
        "0_blur": (disparity_at_level(disparity, levels, 0, filled=True), 0),
        "0_upsampling": (disparity_at_level(disparity, levels, 0), 0),
        "1": (disparity_at_level(disparity, levels, 1), 1),
    }
    radii = {
        name: defocus(values, LENS.focus, LENS.aperture, levels.long_side(k)) for name, (values, k) in maps.items()
    }
    plan = TilePlan.fixed(levels.size(0), TILE, HALO)
    last = list(plan)[-1]
    return {
        "photo": photo,
        "disparity": disparity,
        "level_0": images[0],
        "level_1": images[1],
        "disparity_held": widen_focus(disparity, LENS.focus, HELD),
        **{f"disparity_{name}": values for name, (values, _) in maps.items()},
        **{f"defocus_{name}": values for name, values in radii.items()},
        "tile_image": plan.extract(images[0], last),
        "tile_defocus": network_defocus(plan.extract(radii["0_blur"], last)),
    }


if __name__ == "__main__":
    FILE.write_bytes(save({name: np.ascontiguousarray(values) for name, values in sorted(step_vectors().items())}))

"""The networks that are exported and the tensors that go in and out of them: names, meanings, value ranges.

One table, used by the networks, the exporters, the manifest and the sessions. Sizes are not here: they belong to a
bundle's plan.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..enums import TextEnum


class Stage(TextEnum):
    """A network that is exported; the value is its name in files, manifests and on the command line."""

    DEPTH = "depth"
    LENS_BLUR = "lens_blur"
    GUIDED_UPSAMPLING = "guided_upsampling"


PIPELINE_STAGES = (Stage.DEPTH, Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)
"""The stages that make a portrait of a photo, in the order in which they run."""


@dataclass(frozen=True)
class Signal:
    """A tensor's name and what its numbers mean, the same in every target.

    Attributes:
        name: name in the exported graph.
        channels: 3 for an image, 1 for a map.
        low, high: closed range of the values.
        meaning: one line for the app developer.
        scale: linear size relative to the stage's tile (2 for the high-resolution side of the upsampling).
    """

    name: str
    channels: int
    low: float
    high: float
    meaning: str
    scale: int = 1


_RGB = "RGB, sRGB-encoded"
_DEFOCUS = "signed radius of the circle of confusion in pixels of this map, divided by 8 and clipped; > 0 is nearer"

INPUTS: dict[Stage, tuple[Signal, ...]] = {
    Stage.DEPTH: (Signal("image", 3, 0, 1, f"whole photo resized to the input's size, {_RGB}"),),
    Stage.LENS_BLUR: (
        Signal("image", 3, 0, 1, f"tile of the lowest level, {_RGB}"),
        Signal("defocus", 1, -1, 1, _DEFOCUS),
    ),
    Stage.GUIDED_UPSAMPLING: (
        Signal("image_high", 3, 0, 1, f"sharp tile of this level, {_RGB}", scale=2),
        Signal("image_low", 3, 0, 1, f"the same tile one level down, {_RGB}"),
        Signal("blurred_low", 3, 0, 1, f"the blurred tile one level down, {_RGB}"),
        Signal("defocus_low", 1, -1, 1, f"one level down; {_DEFOCUS}"),
    ),
}

OUTPUTS: dict[Stage, Signal] = {
    Stage.DEPTH: Signal("disparity", 1, 0, 1, "normalised inverse depth of the whole photo; 1 is nearest, 0 farthest"),
    Stage.LENS_BLUR: Signal("blurred", 3, 0, 1, f"blurred tile of the lowest level, {_RGB}"),
    Stage.GUIDED_UPSAMPLING: Signal("blurred_high", 3, 0, 1, f"blurred tile of this level, {_RGB}", scale=2),
}

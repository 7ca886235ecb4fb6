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
    FOCAL_DEPTH = "focal_depth"
    PREVIEW = "preview"
    PHOTO_PREVIEW = "photo_preview"


PIPELINE_STAGES = (Stage.DEPTH, Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)
"""The stages that make a portrait of a photo, in the order in which they run."""

PREVIEWS = (Stage.PREVIEW, Stage.PHOTO_PREVIEW)
"""The pipeline in one graph, for photos of one size: with a disparity that is given, with the depth network inside."""

TILED = (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)
"""Those that see a photo in tiles."""


@dataclass(frozen=True)
class Signal:
    """A tensor's name and what its numbers mean, the same in every target.

    Attributes:
        name: name in the exported graph.
        channels: 3 for an image, 1 for a map, 4 for an image with a map.
        low, high: closed range of the values.
        meaning: one line for the app developer.
        scale: linear size relative to the stage's tile (2 for the high-resolution side of the upsampling); 0 for
            numbers that belong to no pixels, of 1×1.
        slices: one for every slice of a focal stack, along the first axis.
        of_depth: of the size of the depth network's output.
    """

    name: str
    channels: int
    low: float
    high: float
    meaning: str
    scale: int = 1
    slices: bool = False
    of_depth: bool = False

    def shape(
        self, height: int, width: int, slices: int = 1, depth: tuple[int, int] | None = None
    ) -> tuple[int, int, int, int]:
        """A tensor's, `(N, C, H, W)`, of a stage at a size, beside a depth network of a size."""
        if self.of_depth and depth is not None:
            return 1, self.channels, *depth
        count = slices if self.slices else 1
        return count, self.channels, max(1, self.scale * height), max(1, self.scale * width)


DEPTHS = 24
"""Columns of a focal stack's table of radii: hypothetical depths from near to far."""

_RGB = "RGB, sRGB-encoded"
_DEFOCUS = "signed radius of the circle of confusion in pixels of this map, divided by 8 and clipped; > 0 is nearer"
_FOCUS = Signal("focus", 1, 0, 1, "the disparity in focus, of step 6", scale=0)
_APERTURE = Signal("aperture", 1, 0, 1, "0 (everything sharp) to 1 (largest blur)", scale=0)

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
    Stage.PREVIEW: (
        Signal("image", 3, 0, 1, f"whole photo, reduced to this size, {_RGB}"),
        Signal("disparity", 1, 0, 1, "over the whole photo, of step 7; 1 is nearest, 0 farthest", of_depth=True),
        _FOCUS,
        _APERTURE,
    ),
    Stage.PHOTO_PREVIEW: (
        Signal("image", 3, 0, 1, f"whole photo, reduced to this size, {_RGB}"),
        _FOCUS,
        _APERTURE,
    ),
    Stage.FOCAL_DEPTH: (
        Signal("stack", 3, 0, 1, f"slices of a focal stack in any order, {_RGB}", slices=True),
        Signal(
            "radius",
            DEPTHS,
            -64,
            64,
            "of every slice, the signed radius of the circle of confusion in pixels of the stack at each of 24 depths, "
            "from near to far, each the same factor from the one before; > 0 where the depth is nearer than the focus",
            scale=0,
            slices=True,
        ),
    ),
}

OUTPUTS: dict[Stage, Signal] = {
    Stage.DEPTH: Signal("disparity", 1, 0, 1, "normalised inverse depth of the whole photo; 1 is nearest, 0 farthest"),
    Stage.LENS_BLUR: Signal("blurred", 3, 0, 1, f"blurred tile of the lowest level, {_RGB}"),
    Stage.GUIDED_UPSAMPLING: Signal("blurred_high", 3, 0, 1, f"blurred tile of this level, {_RGB}", scale=2),
    Stage.PREVIEW: Signal("portrait", 3, 0, 1, f"the photo with a shallow depth of field, {_RGB}"),
    Stage.PHOTO_PREVIEW: Signal("portrait", 3, 0, 1, f"the photo with a shallow depth of field, {_RGB}"),
    Stage.FOCAL_DEPTH: Signal(
        "rgbd",
        4,
        0,
        1,
        f"all in focus, {_RGB}, and disparity: linear in 1 / depth, 1 at the first depth of `radius`, 0 at the last",
    ),
}

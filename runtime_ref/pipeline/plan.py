"""How the exported graphs are applied to a photo: input sizes, halos, the threshold for copying. Part of a manifest."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .aspects import Size, nearest_shape
from .tiling import TilePlan

_Side = Annotated[int, Field(ge=1)]


class TileSpec(BaseModel):
    """Tiles of one stage, in pixels of its low-resolution side.

    Attributes:
        tile: input size of the graph, core + 2·halo; None computes a picture untiled (PyTorch only).
        halo: pixels around the core that are computed and thrown away; >= the receptive field's radius.
        align: tile origins and sizes are multiples of this.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    tile: int | None = Field(ge=1)
    halo: int = Field(ge=0)
    align: int = Field(ge=1)

    @model_validator(mode="after")
    def _has_a_core(self) -> TileSpec:
        if self.tile is not None and self.tile <= 2 * self.halo:
            raise ValueError(f"a tile of {self.tile} pixels has no core inside a halo of {self.halo}")
        if self.halo % self.align or (self.tile or 0) % self.align:
            raise ValueError(f"tile {self.tile} and halo {self.halo} must be multiples of {self.align}")
        return self

    def over(self, size: tuple[int, int]) -> TilePlan:
        """The tiles of a picture of (height, width)."""
        if self.tile is None:
            return TilePlan.whole(size, self.halo, self.align)
        return TilePlan.fixed(size, self.tile, self.halo)


class PipelinePlan(BaseModel):
    """Everything beside the graphs that turns a photo into a portrait.

    Attributes:
        depth_height, depth_width: what the photo is resized to, stretched, for the depth network, in pixels.
        further_depth_sizes: (height, width) of further graphs of it; the one of nearest aspect serves a photo.
        lens_blur: tiles at level 0.
        guided_upsampling: tiles of the low-resolution side at every level.
        focus_range: disparities this close to the focus are held in focus when the disparity is predicted.
        copy_below: tiles whose |c| stays below this many pixels are copied from the sharp picture.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    depth_height: int = Field(ge=1)
    depth_width: int = Field(ge=1)
    further_depth_sizes: tuple[tuple[_Side, _Side], ...] = ()
    lens_blur: TileSpec
    guided_upsampling: TileSpec
    # A predicted disparity wavers inside one subject; a measured one does not. In 100 held-out portraits, focused by
    # themselves, 99.5 % of the subject's inside stays sharp with 0.2 and 98.8 % with 0.15, for an in-focus IoU of 0.80
    # and 0.86: a soft face is worse. 0.25 keeps 99.7 %, at 0.75.
    focus_range: float = Field(default=0.2, ge=0, le=1)
    # A disc of radius 0.2 pixels lies inside one pixel: blurring by it changes nothing that sampling can show.
    copy_below: float = Field(default=0.2, ge=0)

    @property
    def depth_shape(self) -> Size:
        """Height and width of the depth network's input; the first, where there are several."""
        return self.depth_height, self.depth_width

    @property
    def depth_shapes(self) -> tuple[Size, ...]:
        """All of them."""
        return self.depth_shape, *self.further_depth_sizes

    def depth_shape_for(self, height: int, width: int) -> Size:
        """The one whose aspect is nearest to that of a photo of `height` × `width`."""
        return nearest_shape((height, width), self.depth_shapes)

    def with_depth(self, size: Size) -> PipelinePlan:
        """The same plan with one input size of the depth network."""
        return self.model_copy(update={"depth_height": size[0], "depth_width": size[1], "further_depth_sizes": ()})

    def untiled(self) -> PipelinePlan:
        """The same computation on whole pictures, nothing copied: the reference that tiles are tested against."""
        return self.model_copy(
            update={
                "lens_blur": self.lens_blur.model_copy(update={"tile": None}),
                "guided_upsampling": self.guided_upsampling.model_copy(update={"tile": None}),
                "copy_below": 0.0,
            }
        )

    def with_tiles(self, tile: int) -> PipelinePlan:
        """The same plan with tiles of another size; halos stay, they belong to the networks.

        Raises:
            ValidationError: the tile does not fit the halos.
        """
        resized = {
            name: TileSpec(tile=tile, halo=spec.halo, align=spec.align)
            for name, spec in (("lens_blur", self.lens_blur), ("guided_upsampling", self.guided_upsampling))
        }
        return self.model_copy(update=resized)

"""The numbers of the steps around the graphs, as a manifest carries them: an app reads them there, it copies none.

They are the rules of this version of dofkit, not settings: a bundle with other ones is another version's.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from . import optics, pyramid, refinement, subject


def _fixed(schema: dict[str, Any]) -> None:
    """Say in the JSON Schema, too, that each has one value."""
    for field in schema["properties"].values():
        field["const"] = field["default"]


class HostRules(BaseModel):
    """Constants of the steps; the numbers of the steps are those of a bundle's README and of docs/pipeline.md."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True, json_schema_extra=_fixed
    )

    lowest_long_side: int = Field(
        default=pyramid.LOWEST_LONG_SIDE, description="step 2: the longest side of level 0, in pixels"
    )
    refine_from: float = Field(
        default=refinement.COARSE,
        description="step 5: a measured map is refined if the photo is this many times as long",
    )
    refine_long_side: int = Field(
        default=refinement.LONGEST, description="step 5: the longest side of a refined map, in pixels"
    )
    refine_edge: float = Field(
        default=refinement.EDGE, description="step 5: a map is refined where 3 × 3 of its values differ by more"
    )
    refine_distance: float = Field(
        default=refinement.SPATIAL, description="step 5: standard deviation of distances, in the map's pixels"
    )
    refine_colour: float = Field(
        default=refinement.COLOUR, description="step 5: standard deviation of colours, distances of RGB in [0, 1]"
    )
    refine_alike: float = Field(
        default=refinement.AGREEING, description="step 5: standard deviation of disparities around the first estimate"
    )
    refine_least: float = Field(
        default=refinement.LEAST_AGREEING, description="step 5: what a value keeps of its weight, however unlike"
    )
    tap_window: float = Field(
        default=subject.FOCUS_WINDOW,
        description="step 6: half-width of a tap's window, of the map's long side",
    )
    tap_alike: float = Field(
        default=subject.ALIKE, description="step 6: how far from the window's median the tapped thing reaches, at most"
    )
    focus_long_side: int = Field(
        default=subject.FINEST, description="step 6: longer maps are looked at in every k-th row and column"
    )
    subject_spread: float = Field(
        default=subject.CENTRE, description="step 6: the spread of what counts as central, as a share of each side"
    )
    subject_bins: int = Field(default=subject.BINS, description="step 6: bins of disparity over [0, 1]")
    subject_window: int = Field(default=subject.WINDOW, description="step 6: bins that the subject lies in, together")
    long_side_per_radius: float = Field(
        default=optics.LONG_SIDE_PER_RADIUS, description="steps 8, 10: the long side, divided by the largest radius"
    )
    network_radius: float = Field(
        default=optics.NETWORK_RADIUS, description="steps 8, 10: the radius that the networks know as 1, in pixels"
    )
    thin_pitch: int = Field(
        default=pyramid.THIN_PITCH,
        description="step 9: values of the map per pixel, on both axes, for thin things",
    )
    thin_share: float = Field(default=pyramid.THIN, description="step 9: what shows less than 1 - this is thin")
    thin_tie: float = Field(default=pyramid.THIN_TIE, description="step 9: means that differ by no more are alike")

    usual_aperture: float = Field(
        default=optics.USUAL_APERTURE, description="steps 8, 10: the aperture where nobody has chosen one"
    )

    @model_validator(mode="after")
    def _are_this_versions(self) -> HostRules:
        other = [name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default]
        if other:
            raise ValueError(f"{', '.join(other)}: this dofkit has other rules")
        return self

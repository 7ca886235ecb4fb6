"""The report on a calibration's photos counts what was fed and says what is missing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dofkit.export.coverage import Coverage, Light, StageCoverage
from dofkit.runtime_ref.pipeline.portrait import Lens
from dofkit.runtime_ref.pipeline.stage import Stage

GOOD_PHOTOS = (Light(0.1, 0.0), *[Light(0.4, 0.0)] * 6, Light(0.8, 0.05))


def fed(*values: float, samples: int = 1) -> dict[Stage, StageCoverage]:
    """A rendering of which every sample has one pixel of each of these values of defocus."""
    defocus = np.array(values, np.float32).reshape(1, 1, 1, -1)
    sample = {"image": np.zeros((1, 3, 1, len(values)), np.float32), "defocus": defocus}
    return {Stage.LENS_BLUR: StageCoverage().with_rendering(Lens(0.95, 0.35), [sample] * samples)}


def good(**changes: object) -> Coverage:
    """A coverage without any gap, but for the changes."""
    values = {"own": True, "found": 8, "photos": GOOD_PHOTOS, "stages": fed(-0.9, 0.0, 0.9)}
    return Coverage(**{**values, **changes})  # pyright: ignore[reportArgumentType]


def test_light_is_mean_luma_and_the_share_of_near_white_pixels():
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:5] = 255
    pixels[5:7] = (0, 255, 0)
    assert Light.of(pixels).luma == pytest.approx(0.5 + 0.2 * 0.7152)
    assert Light.of(pixels).clipped == pytest.approx(0.5), "a saturated colour is no light"


def test_histograms_count_renderings_and_pixels_in_bins_of_equal_width():
    seen = fed(-1.0, -0.95, -0.1, 0.1, 0.55, 1.0, samples=3)[Stage.LENS_BLUR]
    assert seen.samples == 3
    assert seen.focus == (0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    assert seen.aperture == (0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    assert seen.defocus == (6, 0, 0, 0, 3, 3, 0, 3, 0, 3)
    assert (seen.nearer, seen.farther) == (6, 6)


def test_the_depth_network_is_counted_without_a_lens():
    seen = StageCoverage().with_rendering(None, [{"image": np.zeros((1, 3, 8, 8), np.float32)}] * 6)
    assert seen == StageCoverage(samples=6)


def test_stages_share_renderings_and_add_up_their_pixels():
    lens = Lens(0.5, 1.0)
    low = {"defocus_low": np.full((1, 1, 4, 4), 0.7, np.float32)}
    stages = {**fed(0.0, 0.0), Stage.GUIDED_UPSAMPLING: StageCoverage().with_rendering(lens, [low])}
    coverage = Coverage(own=True, found=1, photos=GOOD_PHOTOS, stages=stages)
    assert sum(coverage.focus) == 1
    assert sum(coverage.defocus) == 2 + 16
    assert coverage.nearer == pytest.approx(16 / 18)


def test_photos_without_a_gap_raise_no_warning():
    assert good().warnings == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"own": False}, "--calibration DIR"),
        ({"photos": GOOD_PHOTOS[1:]}, "7 photos"),
        ({"photos": (*GOOD_PHOTOS[1:], Light(0.3, 0))}, "dark photo"),
        ({"photos": (*GOOD_PHOTOS[:-1], Light(0.5, 0.05))}, "bright photo"),
        ({"photos": (*GOOD_PHOTOS[:-1], Light(0.8, 0.0))}, "clipped highlights"),
        ({"stages": fed(-0.9, 0.0, 0.4)}, "in front of the focus"),
        ({"stages": fed(-0.4, 0.0, 0.9)}, "behind the focus"),
    ],
)
def test_each_gap_is_named_with_what_to_add(change: dict[str, object], said: str):
    warnings = good(**change).warnings
    assert any(said in warning for warning in warnings)
    assert all("\n" not in warning and ("add" in warning or "give" in warning) for warning in warnings)


def test_nothing_is_said_of_blur_before_a_rendering_stage_was_fed():
    assert good(stages={Stage.DEPTH: StageCoverage(samples=6)}).warnings == ()


def test_photos_left_out_by_the_cap_are_reported():
    assert any("8 of 200, evenly chosen" in line for line in good(found=200).lines())
    assert not any("chosen" in line for line in good().lines())


def test_bars_are_higher_where_more_was_seen_and_dotted_where_nothing_was():
    (line,) = (line for line in good(stages=fed(-0.9, 0.0, 0.0, 0.0, 0.9)).lines() if line.startswith("defocus"))
    bar = line.split("behind ")[1].split(" in front")[0]
    assert len(bar) == 10
    assert bar[5] == "█"
    assert bar[0] == bar[9] != "█"
    assert bar[1:5] + bar[6:9] == "·" * 7


def test_the_report_for_machines_is_json_with_the_warnings():
    report = json.loads(json.dumps(good(own=False).as_json()))
    assert report["samples"] == {"lens_blur": 1}
    assert sum(report["brightness"]) == len(report["photos"]) == 8
    assert len(report["warnings"]) == 1


def test_a_coverage_of_nothing_can_be_told():
    empty = Coverage(own=True, found=0)
    assert empty.warnings == ()
    assert len(empty.lines()) == 3

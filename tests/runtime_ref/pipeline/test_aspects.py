"""The depth network's input has the aspect of the photo, as nearly as there is one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.aspects import USUAL_SIZES, nearest_shape, size_of_aspect, size_text
from dofkit.runtime_ref.pipeline.plan import PipelinePlan, TileSpec
from dofkit.runtime_ref.pipeline.portrait import PortraitPipeline
from dofkit.runtime_ref.pipeline.session import SizedSession
from dofkit.runtime_ref.pipeline.stage import Stage

SPEC = TileSpec(tile=None, halo=0, align=1)
PLAN = PipelinePlan(
    depth_height=64,
    depth_width=64,
    further_depth_sizes=((96, 64), (64, 96)),
    lens_blur=SPEC,
    guided_upsampling=SPEC,
)
SIDE = st.integers(1, 9000)


class Sizes:
    """A depth network that remembers what it was asked for."""

    runtime = "stand-in"

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        self.asked.append(inputs["image"].shape[2:])
        return inputs["image"][:, :1]


@pytest.mark.parametrize(
    ("photo", "size"), [((400, 400), (64, 64)), ((400, 300), (96, 64)), ((90, 160), (64, 96)), ((100, 110), (64, 64))]
)
def test_the_depth_network_sees_a_photo_in_the_nearest_aspect(photo: tuple[int, int], size: tuple[int, int]) -> None:
    network = Sizes()
    pixels = np.zeros((*photo, 3), np.uint8)
    assert PortraitPipeline({Stage.DEPTH: network}, PLAN).disparity(pixels).shape == size
    assert network.asked == [size]


@given(SIDE, SIDE)
def test_no_other_size_stretches_a_photo_less(height: int, width: int) -> None:
    def stretch(size: tuple[int, int]) -> float:
        factor = (size[0] / height) / (size[1] / width)
        return max(factor, 1 / factor)

    chosen = PLAN.depth_shape_for(height, width)
    assert stretch(chosen) <= min(map(stretch, PLAN.depth_shapes)) * (1 + 1e-12)
    lying = PLAN.depth_shape_for(width, height)
    if stretch(chosen) < sorted(map(stretch, PLAN.depth_shapes))[1] * (1 - 1e-9):
        assert lying == chosen[::-1]


@given(st.integers(1, 20), st.integers(1, 20), st.integers(64, 900))
def test_a_size_of_an_aspect_has_about_as_many_pixels_and_its_form(width: int, height: int, side: int) -> None:
    tall, wide = size_of_aspect(f"{width}:{height}", side)
    assert tall % 32 == wide % 32 == 0
    exact = side * math.sqrt(height / width), side * math.sqrt(width / height)
    assert abs(tall - exact[0]) <= 16 or tall == 32
    assert abs(wide - exact[1]) <= 16 or wide == 32
    assert size_of_aspect(f"{height}:{width}", side) == (wide, tall)


@pytest.mark.parametrize("aspect", ["3", "3:4:5", "0:4", "-3:4", "nan:4", "inf:1", "wide:high", ""])
def test_what_is_no_aspect_is_refused(aspect: str) -> None:
    with pytest.raises(ValueError, match=r"aspect|unpack|convert"):
        size_of_aspect(aspect)


def test_the_usual_sizes_are_square_upright_and_lying() -> None:
    assert USUAL_SIZES == ((384, 384), (448, 320), (320, 448))
    assert [size_text(size) for size in USUAL_SIZES] == ["384", "448x320", "320x448"]
    assert nearest_shape((4032, 3024), USUAL_SIZES) == (448, 320)


def test_a_sized_stage_opens_what_a_photo_needs_and_no_more() -> None:
    opened: dict[tuple[int, int], Sizes] = {}

    def opener(size: tuple[int, int]) -> Sizes:
        assert size not in opened
        return opened.setdefault(size, Sizes())

    session = SizedSession({size: lambda size=size: opener(size) for size in PLAN.depth_shapes})
    pipeline = PortraitPipeline({Stage.DEPTH: session}, PLAN)
    assert pipeline.runtimes == (), "what is only asked for its name is not opened for it"
    for _ in range(2):
        pipeline.disparity(np.zeros((400, 300, 3), np.uint8))
    assert {size: network.asked for size, network in opened.items()} == {(96, 64): [(96, 64)] * 2}
    assert pipeline.runtimes == ("stand-in",)


def test_a_size_without_a_file_is_refused_with_those_that_there_are() -> None:
    session = SizedSession({(64, 64): Sizes, (64, 96): Sizes})
    with pytest.raises(DofkitError, match="no file takes 96x64 pixels, there are 64, 64x96"):
        PortraitPipeline({Stage.DEPTH: session}, PLAN).disparity(np.zeros((400, 300, 3), np.uint8))


def test_a_plan_of_one_size_takes_it_for_every_photo() -> None:
    for size in PLAN.depth_shapes:
        one = PLAN.with_depth(size)
        assert one.depth_shapes == (size,)
        assert one.depth_shape_for(9, 1000) == one.depth_shape == size

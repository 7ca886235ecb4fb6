"""Golden vectors come from real and hard inputs, with every kind of defocus in them."""

from __future__ import annotations

import numpy as np
import pytest

from dofkit.export.golden import HARD_SIZE, golden_pictures, hard_picture
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.cases import compute_case
from dofkit.runtime_ref.pipeline.portrait import depth_input
from dofkit.runtime_ref.pipeline.pyramid import Pyramid
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from dofkit.train.session import TorchSession, default_plan, load_networks, torch_sessions

SIZES = ((128, 128), (96, 128))


def test_there_is_a_photo_and_a_hard_case() -> None:
    assert [picture.kind for picture in golden_pictures(())] == ["photo", "synthetic"]


def test_the_hard_picture_has_flat_areas_clipped_lights_lines_and_saturated_edges() -> None:
    picture = hard_picture(*HARD_SIZE)
    height, width = HARD_SIZE
    assert (picture[: height // 2, : width // 4] == 119).all()
    lights = picture[: height // 2, width // 2 :]
    assert 0 < (lights == 255).mean() < 0.01
    saturated = (picture.max(axis=2) == 255) & (picture.min(axis=2) == 0)
    assert saturated.mean() > 0.05
    assert Pyramid.of(*HARD_SIZE).levels == 2


@pytest.fixture(scope="module")
def cases(weights, tmp_path_factory):
    networks, plan = load_networks(weights), default_plan(tile=96, depth_sizes=SIZES)
    sessions, folder = torch_sessions(networks), tmp_path_factory.mktemp("cases")
    computed = [
        compute_case(picture, sessions, plan, folder / f"{number}.safetensors")
        for number, picture in enumerate(golden_pictures(()))
    ]
    return networks, [(case.arrays(), case.lens) for case in computed]


def test_outputs_are_what_pytorch_computes_from_the_inputs(cases) -> None:
    networks, computed = cases
    for arrays, _ in computed:
        for stage in PIPELINE_STAGES:
            expected = TorchSession(stage, networks[stage]).run(arrays.inputs(stage))
            np.testing.assert_array_equal(arrays.output(stage), expected)


def test_depth_is_there_at_every_size_of_the_plan_and_first_at_the_photos(cases) -> None:
    networks, computed = cases
    for (arrays, _), own in zip(computed, SIZES, strict=True):  # the photo is square, the hard picture lies
        assert arrays.inputs(Stage.DEPTH)["image"].shape[2:] == own
        for size in SIZES:
            sized = arrays.at_depth(size)
            inputs = sized.inputs(Stage.DEPTH)
            np.testing.assert_array_equal(inputs["image"], depth_input(arrays.photo, size))
            expected = TorchSession(Stage.DEPTH, networks[Stage.DEPTH]).run(inputs)
            np.testing.assert_array_equal(sized.output(Stage.DEPTH), expected)
            assert sized.inputs(Stage.LENS_BLUR) == arrays.inputs(Stage.LENS_BLUR)
        with pytest.raises(DofkitError, match=r"lacks the tensor depth_64x64\.image"):
            arrays.at_depth((64, 64))


def test_the_hard_case_holds_defocus_of_minus_one_zero_and_one(cases) -> None:
    arrays, _ = cases[1][1]
    for stage, name in ((Stage.LENS_BLUR, "defocus"), (Stage.GUIDED_UPSAMPLING, "defocus_low")):
        values = arrays.inputs(stage)[name]
        assert {-1.0, 0.0, 1.0} <= set(np.unique(values).tolist())


def test_the_photo_and_its_rendering_have_one_size(cases) -> None:
    for arrays, lens in cases[1]:
        assert arrays.photo.shape == arrays.rendered.shape
        assert 0 <= arrays.rendered.min() <= arrays.rendered.max() <= 1
        assert 0 <= lens.focus <= 1

"""The step cases of a bundle: its README alone gives every tensor, they reach every branch, and simpler rules fail."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.data import coffee

from dofkit.export.step_pictures import StepPicture, made_up_map, step_pictures
from dofkit.runtime_ref.bundle.steps import encoded
from dofkit.runtime_ref.parity.host_steps import StepInputs, StepResults, computed_steps
from dofkit.runtime_ref.pipeline.focus import Focus
from dofkit.runtime_ref.pipeline.portrait import PortraitPipeline
from dofkit.runtime_ref.pipeline.pyramid import as_float
from dofkit.runtime_ref.pipeline.rules import HostRules
from dofkit.runtime_ref.pipeline.stage import INPUTS, Stage
from dofkit.train.session import load_networks, torch_sessions

from . import by_the_page as page
from .step_plan import PLAN

RULES: Mapping[str, Any] = HostRules().model_dump()
PICTURES = {picture.name: picture for picture in step_pictures(PLAN)}
Tensors = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def computed() -> dict[str, StepResults]:
    return {name: computed_steps(picture.inputs, PLAN) for name, picture in PICTURES.items()}


def by_the_readme(inputs: StepInputs) -> tuple[Tensors, float, page.Levels]:
    """All tensors of a case, the focus, and the levels after step 8."""
    photo, plan = inputs.photo, PLAN.model_dump()
    height, width = photo.shape[:2]
    disparity = inputs.map / np.iinfo(inputs.map.dtype).max
    refined = disparity if inputs.focus_range else page.refined(disparity, photo, RULES)
    is_refined, disparity = refined is not disparity, refined
    if inputs.tap is None:
        focus = page.focus_by_itself(disparity, RULES)
    else:
        focus = page.focus_of_tap(disparity, *inputs.tap, inputs.focus_range, RULES)
    disparity = page.held(disparity, focus, inputs.focus_range)
    levels = page.started(page.Levels.of(height, width, RULES), disparity, focus, inputs.aperture, RULES)
    images = page.image_levels(photo, levels)
    tensors: Tensors = {f"level_{k}": images[k] for k in range(levels.n)}
    tensors["depth_input"] = page.depth_input(photo, page.depth_size(height, width, plan))
    if inputs.focus_range:
        tensors["held"] = disparity
    elif is_refined:
        tensors["refined"] = disparity
    maps = {"blur": (0, True), **{str(k): (k, False) for k in range(levels.n)}}
    for name, (k, blur) in maps.items():
        values = page.disparity_of_level(disparity, levels, k, blur, RULES)
        tensors[f"disparity_{name}"] = values
        tensors[f"defocus_{name}"] = page.defocus(values, levels, k, focus, inputs.aperture, RULES)
    renderer = page.Renderer.by(plan, RULES, page.stand_in_blur, page.stand_in_upsampling)
    radii = [tensors[f"defocus_{k}"] for k in range(levels.n)]
    results, copied = renderer.levels(images, tensors["defocus_blur"], radii)
    tensors |= {f"blurred_{k}": results[k] for k in range(levels.n)}
    tensors |= {f"copied_{name}": each for name, each in zip(["blur", *range(1, levels.n + 1)], copied, strict=True)}
    tensors["rendered"] = results[-1][: levels.height, : levels.width]
    return tensors | last_tiles(renderer, images, tensors, levels), focus, levels


def last_tiles(renderer: page.Renderer, images: list[Any], tensors: Tensors, levels: page.Levels) -> Tensors:
    """Inputs of the last tile of the blur and of the first upsampling."""
    tile, halo = renderer.blur_cut.tile, renderer.blur_cut.halo
    top, left = renderer.blur_cut.last(levels.size(0))
    radius = page.cut(tensors["defocus_blur"], top, left, tile, halo)
    cut = {
        "tile_blur.image": page.cut(images[0], top, left, tile, halo),
        "tile_blur.defocus": page.network_defocus(radius, RULES),
    }
    if levels.n:
        tile, halo = renderer.upsampling_cut.tile, renderer.upsampling_cut.halo
        top, left = renderer.upsampling_cut.last(levels.size(0))
        cut |= {
            "tile_upsampling.image_high": page.cut(images[1], 2 * top, 2 * left, 2 * tile, 2 * halo),
            "tile_upsampling.image_low": page.cut(images[0], top, left, tile, halo),
            "tile_upsampling.blurred_low": page.cut(tensors["blurred_0"], top, left, tile, halo),
            "tile_upsampling.defocus_low": page.network_defocus(
                page.cut(tensors["defocus_0"], top, left, tile, halo), RULES
            ),
        }
    return cut


@pytest.mark.parametrize(
    "picture",
    [pytest.param(p, marks=[pytest.mark.e2e] if n == "large" else []) for n, p in PICTURES.items()],
    ids=lambda picture: picture.name,
)
def test_the_readme_alone_gives_every_tensor_of_a_case(picture: StepPicture, computed: dict[str, StepResults]) -> None:
    results = computed[picture.name]
    tensors, focus, levels = by_the_readme(picture.inputs)
    assert tensors.keys() | {"photo", "map"} == results.tensors.keys()
    assert results.focus == pytest.approx(focus, abs=1e-6)
    assert (results.levels, results.depth_size) == (
        levels.n,
        page.depth_size(levels.height, levels.width, PLAN.model_dump()),
    )
    for name, values in tensors.items():
        ours = encoded(name, results.tensors[name][1]).astype(np.float64)
        scale = 255 if name == "rendered" else 1 if name.startswith("copied") or "defocus" in name else 65535
        theirs = np.asarray(values, np.float64) * scale
        allowed = 1.0 if name == "rendered" else 1e-3 if scale == 1 else 4.0
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=allowed, err_msg=name)


def test_the_cases_reach_every_branch(computed: dict[str, StepResults]) -> None:
    inputs = {name: picture.inputs for name, picture in PICTURES.items()}
    tensors = {name: {key: values for key, (_, values) in each.tensors.items()} for name, each in computed.items()}
    assert {results.weak for results in computed.values()} == {True, False}
    assert {results.levels for results in computed.values()} == {0, 1, 2, 3, 4}
    assert {results.depth_size for results in computed.values()} == {*PLAN.depth_shapes}
    assert {each.aperture for each in inputs.values()} >= {0.0, 0.4, 1.0}
    assert {each.tap is None for each in inputs.values()} == {each.focus_range > 0 for each in inputs.values()}
    held = {max(each.map.shape) > RULES["focus_long_side"] for each in inputs.values() if each.focus_range and each.tap}
    assert held == {True, False}  # a tapped thing is looked for in the map, and in every k-th of its values
    assert [name for name, each in tensors.items() if "refined" in each] == ["coarse"]
    assert inputs["large"].photo.shape == (853, 1281, 3)
    for name in ("large", "upright", "strip", "odd"):  # padded below the photo
        level, photo = tensors[name][f"level_{computed[name].levels - 1}"], inputs[name].photo
        assert any(2 * low > side for low, side in zip(level.shape, photo.shape, strict=False))
    for name in ("copied_blur", "copied_1", "copied_2"):
        assert {int(value) for value in tensors["strip"][name].ravel()} == {0, 1}
    assert tensors["closed"]["copied_blur"].all()
    np.testing.assert_array_equal(tensors["closed"]["rendered"], inputs["closed"].photo)
    for name in ("strip", "odd"):  # the blur and the upsampling are told different things
        assert (np.abs(tensors[name]["disparity_blur"] - tensors[name]["disparity_0"]) > 0.05).sum() > 10
    beyond = [np.abs(values).max() for key, values in tensors["strip"].items() if key.startswith("defocus")]
    assert max(beyond) > RULES["network_radius"]


def test_mistakes_that_are_easily_made_show_at_their_step(computed: dict[str, StepResults]) -> None:
    photo, (_, exact) = PICTURES["large"].inputs.photo, computed["large"].tensors["depth_input"]
    rows = ((np.arange(320) + 0.5) * 853 / 320 - 0.5).round().astype(int)
    columns = ((np.arange(448) + 0.5) * 1281 / 448 - 0.5).round().astype(int)
    assert np.abs(photo[rows][:, columns] / 255 - exact).max() > 0.1  # no mean over the area
    strip = computed["strip"].tensors
    half = strip["level_1"][1]
    encoded_mean = (half[::2, ::2] + half[1::2, ::2] + half[::2, 1::2] + half[1::2, 1::2]) / 4
    assert np.abs(encoded_mean - strip["level_0"][1]).max() > 0.1  # a mean of encoded values
    disparity, levels = PICTURES["strip"].inputs.map / 65535, page.Levels.of(37, 1203, RULES)
    mean = page.resample(disparity, levels.size(0), (4 * 47 / 37, 4 * 1501 / 1203))
    nearest = page.largest(disparity, levels, 0)
    for name in ("disparity_blur", "disparity_0"):
        for simpler in (mean, nearest):
            assert np.abs(simpler - strip[name][1]).max() > 0.1


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("size", "map_size", "tap", "aperture"),
    [
        ((213, 331), (400, 601), (0.4, 0.6), 1.0),
        ((330, 197), (99, 74), None, 0.35),
        ((149, 150), None, None, 0.8),
    ],
)
def test_a_client_of_the_readme_renders_what_dofkit_renders(
    size: page.Size, map_size: page.Size | None, tap: tuple[float, float] | None, aperture: float
) -> None:
    """With the networks; without a map the depth network is asked, and the range of the plan is held in focus."""
    sessions, plan = torch_sessions(load_networks()), PLAN.model_dump()

    def asked(stage: Stage, *pictures: NDArray[Any]) -> NDArray[Any]:
        planes = [np.atleast_3d(picture).transpose(2, 0, 1)[None].astype(np.float32) for picture in pictures]
        names = [signal.name for signal in INPUTS[stage]]
        return sessions[stage].run(dict(zip(names, planes, strict=True)))[0].transpose(1, 2, 0)

    photo = np.asarray(Image.fromarray(coffee()).resize((size[1], size[0])))
    measured = None if map_size is None else as_float(made_up_map(*map_size, 8))
    rho = PLAN.focus_range if measured is None else 0.0
    disparity = measured
    if disparity is None:
        disparity = asked(Stage.DEPTH, page.depth_input(photo, page.depth_size(*size, plan)))[..., 0]
    focus = page.focus_by_itself(disparity, RULES) if tap is None else page.focus_of_tap(disparity, *tap, rho, RULES)
    blur, upsampling = partial(asked, Stage.LENS_BLUR), partial(asked, Stage.GUIDED_UPSAMPLING)
    renderer = page.Renderer.by(plan, RULES, blur, upsampling)
    theirs = np.rint(255 * renderer.render(photo, page.held(disparity, focus, rho), focus, aperture))
    ours = PortraitPipeline(sessions, PLAN).portrait(photo, measured, Focus(point=tap), aperture)
    assert np.abs(ours - theirs).max() <= 1
    assert np.abs(ours.astype(float) - photo).max() > 10

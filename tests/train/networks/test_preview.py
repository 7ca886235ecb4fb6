"""The previews compute what the pipeline computes with tiles, where that starts at the lowest level."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from skimage.data import coffee

from dofkit.export.preview import preview_graphs, preview_networks
from dofkit.runtime_ref.pipeline.aspects import Size
from dofkit.runtime_ref.pipeline.optics import widen_focus
from dofkit.runtime_ref.pipeline.portrait import Lens, PortraitPipeline, levels_for, to_network
from dofkit.runtime_ref.pipeline.pyramid import Pyramid
from dofkit.runtime_ref.pipeline.resampling import resample, resize
from dofkit.runtime_ref.pipeline.stage import PREVIEWS, Stage
from dofkit.runtime_ref.target import Target
from dofkit.train.networks.preview import Resampled, matrix_of
from dofkit.train.session import default_plan, load_networks, torch_sessions

SIZE = (64, 400)  # one upsampling; at full blur from the lowest level on
PLAN = default_plan(depth_sizes=((64, 160),))


@pytest.fixture(scope="module")
def networks() -> dict[Stage, torch.nn.Module]:
    return load_networks()


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.rint(resize(coffee(), SIZE)).astype(np.uint8)


def number(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value)


def ramp() -> np.ndarray:
    """A map of the depth network's size that reaches from 0 to 1, with an edge in it."""
    values = np.linspace(0, 1, 160, dtype=np.float32)[None].repeat(64, axis=0)
    values[20:40, 60:90] = 0.95
    return values


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(one.astype(np.float64) - other).mean() + 1e-20))


@pytest.mark.parametrize("target", [None, Target.TFLITE, Target.ONNX])
def test_a_preview_is_the_tiled_portrait(
    networks: dict[Stage, torch.nn.Module], photo: np.ndarray, target: Target | None
) -> None:
    lens, disparity = Lens(0.1, 1.0), ramp()
    assert levels_for(SIZE, disparity, lens).levels == Pyramid.of(*SIZE).levels == 1
    tiled = PortraitPipeline(torch_sessions(networks), PLAN).render(photo, disparity, lens, np.float32)
    preview = preview_networks(networks, PLAN, SIZE, target)[Stage.PREVIEW]
    image, values = torch.from_numpy(to_network(photo)), torch.from_numpy(disparity[None, None])
    with torch.inference_mode():
        whole = preview(image, values, number(0.1), number(1.0))[0].permute(1, 2, 0).numpy()
    assert psnr(whole, tiled) > 100
    assert psnr(whole, photo / 255) < 40


def test_a_preview_with_depth_asks_the_network_and_holds_the_plans_range_sharp(
    networks: dict[Stage, torch.nn.Module], photo: np.ndarray
) -> None:
    made = preview_networks(networks, PLAN, SIZE)
    image, focus = torch.from_numpy(to_network(photo)), 0.4
    disparity = PortraitPipeline(torch_sessions(networks), PLAN).disparity(photo)
    held = widen_focus(disparity, focus, PLAN.focus_range)
    with torch.inference_mode():
        whole = made[Stage.PHOTO_PREVIEW](image, number(focus), number(1.0))
        given = made[Stage.PREVIEW](image, torch.from_numpy(held[None, None]), number(focus), number(1.0))
    np.testing.assert_allclose(whole.numpy(), given.numpy(), atol=1e-4)


def test_aperture_0_is_sharp_and_focus_counts(networks: dict[Stage, torch.nn.Module], photo: np.ndarray) -> None:
    preview = preview_networks(networks, PLAN, SIZE)[Stage.PREVIEW]
    image, disparity = torch.from_numpy(to_network(photo)), torch.from_numpy(ramp()[None, None])
    with torch.inference_mode():
        sharp = preview(image, disparity, number(0.5), number(0.0))
        near, far = (preview(image, disparity, number(focus), number(1.0)) for focus in (1.0, 0.0))
    assert psnr(sharp.numpy(), image.numpy()) > 40
    assert psnr(near.numpy(), far.numpy()) < 35


@pytest.mark.parametrize(
    ("before", "after"), [((30, 40), (20, 10)), ((30, 40), (60, 64)), ((33, 20), (33, 14)), ((9, 9), (3, 9))]
)
def test_resampling_inside_is_the_pipelines(before: Size, after: Size) -> None:
    values = np.random.default_rng(0).random((*before, 2), np.float32)
    inside = Resampled(before, after)(torch.from_numpy(to_network(values)))
    np.testing.assert_allclose(inside[0].permute(1, 2, 0).numpy(), resize(values, after), atol=1e-6)


def test_a_matrix_of_resampling_has_rows_of_weights() -> None:
    matrix = matrix_of(10, 4, Fraction(5, 2)).numpy()
    column = np.random.default_rng(1).random((10, 1), np.float32)
    expected = resample(column, (4, 1), (Fraction(5, 2), Fraction(1)))
    np.testing.assert_allclose(matrix @ column, expected, atol=1e-6)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("target", list(Target))
def test_the_layers_that_stay_in_floats_are_layers_of_the_graph(
    networks: dict[Stage, torch.nn.Module], target: Target
) -> None:
    graphs = preview_graphs(networks, PLAN, SIZE, target)
    assert tuple(graphs) == PREVIEWS
    for graph in graphs.values():
        assert graph.exact
        assert graph.exact <= {name for name, _ in graph.network.named_modules()}
        assert graph.shape(graph.output) == (1, 3, *SIZE)
        shapes = {signal.name: graph.shape(signal) for signal in graph.inputs}
        assert shapes["focus"] == shapes["aperture"] == (1, 1, 1, 1)
        assert shapes.get("disparity", (1, 1, 64, 160)) == (1, 1, 64, 160)

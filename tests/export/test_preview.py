"""Previews in an export: what is refused, what their golden vectors hold, and that a file computes the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.data import coffee

from dofkit.export.onnx.convert import convert
from dofkit.export.preview import APERTURE, GoldenPreview, preview_graphs, preview_networks, refuse_preview
from dofkit.runtime_ref.bundle.golden import golden_arrays, read_golden, write_golden
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.aspects import Size
from dofkit.runtime_ref.pipeline.portrait import to_network
from dofkit.runtime_ref.pipeline.resampling import resize
from dofkit.runtime_ref.pipeline.stage import INPUTS, OUTPUTS, PIPELINE_STAGES, PREVIEWS, Stage
from dofkit.runtime_ref.pipeline.subject import auto_focus
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.session import TorchSession, default_plan, load_networks

SIZE = (32, 352)
PLAN = default_plan(depth_sizes=((64, 192),))


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((240, 320), "--preview 320x240: its long side is to exceed 320 pixels"),
        ((961, 1280), "--preview 1280x961: both sides are to be multiples of 4"),
        ((63, 352), "--preview 352x63: both sides are to be multiples of 2"),
    ],
)
def test_a_size_that_no_preview_has_is_refused_with_one_that_it_can(size: Size, said: str) -> None:
    with pytest.raises(DofkitError, match=said):
        refuse_preview(size, PLAN, PIPELINE_STAGES, (Precision.FP16,))


def test_a_depth_network_that_is_too_fine_for_a_preview_is_refused() -> None:
    with pytest.raises(DofkitError, match="a depth network of 384x384 is too fine for it"):
        refuse_preview((320, 352), default_plan(depth_sizes=((384, 384),)), PIPELINE_STAGES, (Precision.FP32,))


def test_a_preview_without_all_stages_or_in_integers_is_refused() -> None:
    with pytest.raises(DofkitError, match="leave --stage out"):
        refuse_preview((960, 1280), PLAN, (Stage.LENS_BLUR,), (Precision.FP32,))
    with pytest.raises(DofkitError, match="exported in fp32, fp16, w8, not in w8a8"):
        refuse_preview((960, 1280), PLAN, PIPELINE_STAGES, (Precision.FP16, Precision.W8A8))


def test_golden_vectors_of_previews_survive_the_file_in_few_bytes(tmp_path: Path) -> None:
    networks = preview_networks(load_networks(), PLAN, SIZE)
    sessions = {stage: TorchSession(stage, network) for stage, network in networks.items()}
    disparity = np.linspace(0, 1, 64 * 192, dtype=np.float32).reshape(64, 192)
    computed = GoldenPreview(sessions, SIZE, (64, 192))(coffee(), disparity)
    assert tuple(computed) == PREVIEWS
    inputs, output = computed[Stage.PREVIEW]
    assert (float(inputs["focus"].item()), float(inputs["aperture"].item())) == (
        pytest.approx(auto_focus(disparity), abs=1e-4),
        APERTURE,
    )
    others = {stage: ({signal.name: output for signal in INPUTS[stage]}, output) for stage in PIPELINE_STAGES}
    path = tmp_path / "0.safetensors"
    write_golden(path, golden_arrays(coffee(), output, {**others, **computed}))
    read = read_golden(path)
    assert read.tensors[f"preview.{OUTPUTS[Stage.PREVIEW].name}"].dtype == np.uint16
    for stage, (expected, right) in computed.items():
        assert read.inputs(stage).keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(read.inputs(stage)[name], values, atol=1e-6)
        np.testing.assert_allclose(read.output(stage), right, atol=1e-5)


@pytest.mark.e2e
def test_an_onnx_file_of_a_preview_computes_the_network(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    networks = load_networks()
    graph = preview_graphs(networks, PLAN, SIZE, Target.ONNX)[Stage.PREVIEW]
    convert(graph, tmp_path / "preview.onnx")
    image = to_network(np.rint(resize(coffee(), SIZE)).astype(np.uint8))
    disparity = np.linspace(0, 1, 192, dtype=np.float32)[None, None, None].repeat(64, axis=2)
    session = onnxruntime.InferenceSession(str(tmp_path / "preview.onnx"))
    for focus, aperture in ((0.2, 1.0), (0.8, 0.4)):
        numbers = {name: np.full((1, 1, 1, 1), value, np.float32) for name, value in
                   (("focus", focus), ("aperture", aperture))}  # fmt: skip
        inputs = {"image": image, "disparity": disparity, **numbers}
        (output,) = session.run(None, inputs)
        with torch.inference_mode():
            expected = preview_networks(networks, PLAN, SIZE)[Stage.PREVIEW](
                *(torch.from_numpy(inputs[signal.name]) for signal in graph.inputs)
            )
        np.testing.assert_allclose(output, expected.numpy(), atol=1e-4)

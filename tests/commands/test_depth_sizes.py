"""A bundle holds the depth network at several input sizes, and every photo gets the one of its aspect."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit import open_pipeline
from dofkit.commands._options import SIZE
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.pipeline.aspects import Aspect
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.session import load_networks, torch_sessions

UPRIGHT, LYING = (96, 64), (64, 96)


@pytest.fixture(scope="module")
def bundle(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ONNX, with a lying photo as its golden case."""
    from ..conftest import run_cli

    folder = tmp_path_factory.mktemp("sizes")
    photo = folder / "lying.png"
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((240, 180), Image.Resampling.BICUBIC).save(photo)
    out = folder / "sizes.dofbundle"
    options = f"export --target onnx --tile 96 --depth-size 96x64 --depth-size 64x96 --depth-size 96x64 --photo {photo}"
    result = run_cli(*options.split(), "--weights", str(weights), "--out", str(out))
    assert out.is_dir(), result.output
    return out


@pytest.mark.e2e
def test_every_depth_size_is_a_file_that_is_checked_and_runs_for_its_aspect(
    cli: Callable, bundle: Path, weights: Path
) -> None:
    opened = Bundle.open(bundle)
    assert opened.manifest.plan.depth_shapes == (UPRIGHT, LYING)
    variant = (Target.ONNX, Precision.FP32)
    assert [model.path for model in opened.further_depths(*variant)] == ["models/onnx/depth_64x96.fp32.onnx"]
    assert [model.depth_size for model in opened.models(*variant)] == [None] * 3
    rows = json.loads((bundle / "parity.json").read_text())["results"]
    assert [(row["scope"], row["verdict"]) for row in rows] == [
        (scope, "PASS") for scope in ("steps", "depth", "lens_blur", "guided_upsampling", "depth of 64x96", "pipeline")
    ]
    pipeline, networks = open_pipeline(bundle), torch_sessions(load_networks(weights))
    reference = type(pipeline)(networks, pipeline.plan)
    rng = np.random.default_rng(1)
    for photo, size in (((200, 150, 3), UPRIGHT), ((150, 200, 3), LYING)):
        pixels = rng.integers(0, 256, photo, dtype=np.uint8)
        disparity = pipeline.disparity(pixels)
        assert disparity.shape == size
        np.testing.assert_allclose(disparity, reference.disparity(pixels), atol=1e-3)
    assert "depth 96×64, 64×96 px" in cli("inspect", str(bundle)).stdout
    assert "64×96" in (bundle / "README.md").read_text()


@pytest.mark.slow
def test_another_bundle_of_several_sizes_can_be_the_reference_and_times_the_photos_own(
    cli: Callable, bundle: Path
) -> None:
    rows = json.loads(cli("check", str(bundle), "--against", str(bundle), "--json").stdout)["results"]
    assert {row["verdict"] for row in rows} == {"PASS"}
    options = ("--photo", "256", "--no-preview", "--runs", "5", "--seconds", "1", "--json")
    (row,) = json.loads(cli("bench", str(bundle), *options).stdout)["results"]
    assert not row["error"]
    assert row["photo"]["depth_p50"] > 0


@pytest.mark.parametrize(
    ("text", "size"), [("384", (384, 384)), ("448x320", (448, 320)), ("3:4", (448, 320)), ("16:9", (288, 512))]
)
def test_a_depth_size_is_pixels_or_an_aspect(text: str, size: tuple[int, int]) -> None:
    asked = SIZE.convert(text, None, None)
    assert (asked.size() if isinstance(asked, Aspect) else asked) == size


@pytest.mark.parametrize("text", ["3:0", "3x", "wide", "0:0", "384:"])
def test_what_is_no_depth_size_is_refused_in_one_line(cli: Callable, text: str) -> None:
    result = cli("export", "--target", "onnx", "--depth-size", text)
    assert result.exit_code == 2
    assert "3:4" in result.stderr

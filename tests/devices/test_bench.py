"""A runtime that dies or refuses becomes a row of the table, never the end of the bench; figures are of raw times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dofkit.devices import bench
from dofkit.devices.figures import PhotoFigures, StageFigures
from dofkit.runtime_ref.backends import default_backend
from dofkit.runtime_ref.backends.latency import PhotoTimes, RunTimes, TimeBudget
from dofkit.runtime_ref.backends.registry import backend
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.memory import peak_memory
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.backend import pytorch

from ..runtime_ref.backends.there import fake_runtime
from ..runtime_ref.bundle.small_bundle import model, write_bundle

CRASHING = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)\n"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle whose files no runtime can read."""
    return write_bundle(tmp_path / "small.dofbundle", [model("lens_blur"), model("depth")], [])


def request_for(bundle: Bundle, **more: object) -> bench.BenchRequest:
    one = default_backend(Target.ONNX)
    given = {"budget": TimeBudget(runs=5, seconds=1e-3), **more}
    return bench.BenchRequest(bundle, one, Target.ONNX, Precision.FP32, **given)  # pyright: ignore[reportArgumentType]


def test_a_refusal_of_the_runtime_is_the_rows_error(bundle: Bundle) -> None:
    figures = bench.bench(request_for(bundle))
    assert "ONNX Runtime cannot open" in figures.error
    assert figures.stages == ()


def test_a_crash_is_named_by_its_signal(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text(CRASHING)
    monkeypatch.syspath_prepend(tmp_path)
    assert bench.bench(request_for(bundle)).error.startswith("the runtime's process died with SIGSEGV")


def test_a_backend_that_cannot_run_here_says_how_to_get_it(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['onnxruntime'] = None")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "pip install 'dofkit[onnx]'" in bench.bench(request_for(bundle)).error


def test_stages_are_measured_in_their_order_and_every_time_is_kept(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_runtime(tmp_path, monkeypatch, run="time.sleep(0.002)")
    figures = bench.bench(request_for(bundle))
    assert figures.error == ""
    assert (figures.backend, figures.device, figures.runtime) == ("onnxruntime", "cpu", "ONNX Runtime 0")
    assert [stage.stage for stage in figures.stages] == [Stage.DEPTH, Stage.LENS_BLUR]
    for stage in figures.stages:
        assert len(stage.samples) == stage.runs == 5
        assert min(stage.samples) >= 2
        assert stage.first >= 2
        assert min(stage.samples) <= stage.p50 <= stage.p90 <= max(stage.samples)
        assert stage.size == (8, 8)
        assert stage.parity is not None
        assert (stage.parity.psnr, stage.parity.max_abs) == (200.0, 0.0), "zeros, as PyTorch's are in this bundle"
    assert figures.photo is None, "two of three stages make no photo"
    assert figures.peak_mb is not None
    assert figures.peak_mb > 20


def test_tiles_of_other_sizes_have_figures_of_their_own_and_can_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    further = model("lens_blur", path="models/onnx/lens_blur_64.fp32", tile=64)
    bundle = write_bundle(tmp_path / "small.dofbundle", [model("lens_blur"), further], [])
    fake_runtime(tmp_path, monkeypatch, run="time.sleep(0.002)")
    figures = bench.bench(request_for(bundle))
    assert figures.error == ""
    assert [one.title for one in figures.further_stages] == ["lens_blur 64×64"]
    assert len(figures.every_stage) == 2
    assert bench.bench(request_for(bundle, every_size=False)).further_stages == ()


def test_a_stages_figures_are_the_median_and_the_90th_percentile_of_steady_runs() -> None:
    figures = StageFigures.of(Stage.DEPTH, 7.0, RunTimes(first=100.0, steady=tuple(map(float, range(1, 12)))))
    assert (figures.load, figures.first, figures.p50, figures.p90, figures.runs) == (7.0, 100.0, 6.0, 10.0, 11)
    assert figures.p99 == pytest.approx(10.9)
    assert figures.mad == 3.0


def test_a_photos_time_is_that_of_its_two_parts() -> None:
    times = PhotoTimes(first=50.0, depth=(1.0, 2.0, 3.0), render=(10.0, 30.0, 20.0))
    figures = PhotoFigures.of(np.zeros((30, 40, 3), np.uint8), times)
    assert (figures.width, figures.height) == (40, 30)
    assert figures.samples == (11.0, 32.0, 23.0)
    assert (figures.depth_p50, figures.render_p50, figures.p50, figures.runs) == (2.0, 20.0, 23.0, 3)


def test_rows_are_called_as_before_and_other_backends_by_their_own_names(bundle: Bundle) -> None:
    assert request_for(bundle).title == "ONNX fp32"
    other = bench.BenchRequest(bundle, backend("onnx-reference"), Target.ONNX, Precision.FP32)
    assert other.title == "ONNX fp32, ONNX reference evaluator"
    assert bench.BenchRequest(bundle, pytorch(), None).title == "PyTorch fp32"


def test_pytorch_computes_every_stage_that_the_bundle_has(bundle: Bundle) -> None:
    assert list(bench.BenchRequest(bundle, pytorch(), None).models()) == [Stage.DEPTH, Stage.LENS_BLUR]


def test_peak_memory_grows_with_what_was_used() -> None:
    before = peak_memory()
    block = bytearray(b"x") * (before + (64 << 20))
    assert peak_memory() >= len(block)

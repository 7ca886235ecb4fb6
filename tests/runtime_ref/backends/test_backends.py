"""Backends agree with a target's default one, by other means; where one cannot run it says how to get it."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from skimage.transform import resize

from dofkit.export.stages import StageGraph
from dofkit.export.tflite.convert import convert
from dofkit.runtime_ref.backends import (
    BACKENDS,
    Arithmetic,
    Backend,
    BackendUnavailableError,
    InProcess,
    backends_for,
    default_backend,
    open_session,
)
from dofkit.runtime_ref.backends.file_tensors import DescribedSession
from dofkit.runtime_ref.backends.litert_compiled import cpu_fp16
from dofkit.runtime_ref.backends.own_process import OwnProcess
from dofkit.runtime_ref.backends.registry import backend
from dofkit.runtime_ref.bundle import Bundle, ModelEntry
from dofkit.runtime_ref.bundle.golden import read_golden
from dofkit.runtime_ref.errors import DofkitError, MissingExtraError
from dofkit.runtime_ref.parity.check import metrics
from dofkit.runtime_ref.parity.declared import declared_problems
from dofkit.runtime_ref.parity.tolerances import tolerance
from dofkit.runtime_ref.pipeline.session import SharedSession, run_each
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Signal, Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.weights import load_weights

GPU = ("litert-gpu-fp32", "litert-gpu-fp16")
FP16 = ("litert-fp16", "litert-gpu-fp16")
# Those that are no target's default; Core ML's own exist on a Mac only.
OTHERS = tuple(
    one.facts.id for one in BACKENDS if not one.facts.is_routine and one != default_backend(one.facts.targets[0])
)


def named(ids: Iterable[str]) -> list[Any]:
    """Parameters for a test: the backends of these ids; TensorFlow and software GPUs take long to start, ONNX's
    reference to compute."""
    slow = ("tensorflow-reference", "onnx-reference", *GPU)
    return [pytest.param(backend(id), id=id, marks=[pytest.mark.e2e] if id in slow else []) for id in ids]


@pytest.fixture(scope="module")
def bundle(bundle_path: Path) -> Bundle:
    return Bundle.open(bundle_path)


def _models(bundle: Bundle, one: Backend, precision: Precision = Precision.FP32) -> list[ModelEntry]:
    return bundle.models(one.facts.targets[0], precision)


def _inputs(bundle: Bundle, stage: Stage) -> dict[str, np.ndarray]:
    return dict(read_golden(bundle.path(bundle.manifest.golden[0].path)).inputs(stage))


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
@pytest.mark.parametrize("one", named(id for id in OTHERS if id != "litert-fp16"))
def test_it_agrees_with_the_ordinary_runtime(bundle: Bundle, one: Backend, precision: Precision) -> None:
    with OwnProcess(timeout=300) as transport:
        for model in _models(bundle, one, precision):
            try:
                session = transport.open(one, bundle, model)
            except BackendUnavailableError as error:
                assert one.facts.id in (*GPU, "tensorflow-reference"), "all else is installed with dofkit[all]"
                pytest.skip(str(error))
            inputs = _inputs(bundle, model.stage)
            expected = open_session(bundle, model).run(inputs)
            output = session.run(inputs)
            assert output.dtype == np.float32
            assert not _violations(model.stage, precision, model.target, expected, output, one.facts.arithmetic)


@pytest.mark.slow
@pytest.mark.parametrize("stage", PIPELINE_STAGES)
def test_what_ships_keeps_its_quality_on_a_cpu_that_computes_in_16_bit_floats(stage: Stage, tmp_path: Path) -> None:
    # Shipped weights, not random ones: where the CPU adds up in 16 bits too (Arm from 8.2 on, AVX512-FP16), the loss
    # depends on how far a network's sums cancel. Depth with random weights is 51 dB from PyTorch there.
    graph = StageGraph(stage, load_weights(stage), (128, 128))
    convert(graph, tmp_path / "fp32.tflite")
    inputs = {signal.name: _scene(signal, graph.shape(signal)) for signal in graph.inputs}
    with torch.inference_mode():
        expected = graph.network(*(torch.from_numpy(value) for value in inputs.values())).numpy()
    output = cpu_fp16(stage, tmp_path / "fp32.tflite", threads=1).run(inputs)
    assert not _violations(stage, Precision.FP16, Target.TFLITE, expected, output)


def _violations(
    stage: Stage,
    precision: Precision,
    target: Target,
    expected: np.ndarray,
    output: np.ndarray,
    arithmetic: Arithmetic = Arithmetic.STORED,
) -> list[str]:
    values = metrics.picture(expected[0].transpose(1, 2, 0), output[0].transpose(1, 2, 0))
    return tolerance(stage.value, precision, target, arithmetic=arithmetic).violations(values)


def _scene(signal: Signal, shape: tuple[int, ...]) -> np.ndarray:
    """A photo for what is a picture, a plane from end to end of the range for what is not."""
    _, channels, height, width = shape
    if channels == 3:
        return np.asarray(resize(astronaut(), (height, width)), np.float32).transpose(2, 0, 1)[None]
    plane = np.linspace(signal.low, signal.high, width, dtype=np.float32)
    return np.broadcast_to(plane, shape).copy()


@pytest.mark.parametrize("one", named(("onnxruntime-unoptimised", "onnx-reference", "litert-reference", "litert-fp16")))
def test_it_computes_by_other_means(bundle: Bundle, one: Backend) -> None:
    # Another order of summation shows in the last bits; the same kernels would give the same bits. 16-bit floats show
    # far above them.
    differences = []
    for model in _models(bundle, one):
        inputs = _inputs(bundle, model.stage)
        expected = open_session(bundle, model).run(inputs)
        differences.append(np.abs(one.open(bundle, model).run(inputs) - expected).max())
    assert max(differences) > (1e-5 if one.facts.id in FP16 else 0)


@pytest.mark.parametrize("one", named(OTHERS))
def test_its_result_depends_on_the_input(bundle: Bundle, one: Backend) -> None:
    model = next(model for model in _models(bundle, one) if model.stage is Stage.LENS_BLUR)
    inputs = _inputs(bundle, model.stage)
    with OwnProcess() as transport:
        try:
            session = transport.open(one, bundle, model)
        except BackendUnavailableError as error:
            pytest.skip(str(error))
        first = session.run(inputs).copy()
        assert np.abs(session.run(inputs | {"image": 1 - inputs["image"]}) - first).max() > 0.1


def test_every_backend_says_what_it_is_and_what_it_takes() -> None:
    ids = [one.facts.id for one in BACKENDS]
    assert len(set(ids)) == len(ids)
    assert [backend(id) for id in ids] == list(BACKENDS)
    for text in ("title", "library", "device", "shows", "needs", "install"):
        assert all(getattr(one.facts, text) for one in BACKENDS)
    for target in Target:
        assert len({one.facts.row for one in backends_for(target)}) == len(backends_for(target)), "rows of one name"
        assert default_backend(target).facts.row == "{scope}"
    assert [one.facts.id for one in BACKENDS if one.facts.arithmetic is Arithmetic.FP16] == list(FP16)


def test_the_defaults_are_what_apps_run_and_for_core_ml_the_evaluator() -> None:
    assert [default_backend(target).facts.id for target in Target] == ["mil", "litert", "onnxruntime", "coreai"]


def test_every_backend_opens_the_targets_that_it_names_and_no_target_is_without() -> None:
    assert {one for target in Target for one in backends_for(target)} == set(BACKENDS)
    assert all(one in backends_for(target) for one in BACKENDS for target in one.facts.targets)


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("litert-gpu", "did you mean litert-gpu-fp"),
        ("onnx-unoptimised", "did you mean onnxruntime-unoptimised?"),
        ("zzz", "there are onnxruntime, "),
    ],
)
def test_an_unknown_backend_is_one_line_with_the_nearest_that_exists(id: str, words: str) -> None:
    with pytest.raises(DofkitError) as caught:
        backend(id)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_versions_and_absence_are_told_without_importing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend("onnxruntime").version() == importlib.metadata.version("onnxruntime")
    assert backend("onnxruntime").available() is None
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    absent = backend("onnxruntime").available()
    assert absent is not None
    assert str(absent) == "the package onnxruntime is not installed; run: pip install 'dofkit[onnx]'"


@pytest.mark.skipif(sys.platform == "darwin", reason="here Core ML itself runs")
@pytest.mark.parametrize("one", named(("coreml-cpu", "coreml-gpu", "coreml-neural-engine")))
def test_core_mls_own_runtime_says_that_it_needs_a_mac(bundle: Bundle, one: Backend) -> None:
    absent = one.available()
    assert absent is not None
    assert "macOS only" in absent.reason
    with pytest.raises(BackendUnavailableError) as caught:
        one.open(bundle, bundle.models(Target.COREML)[0])
    assert str(caught.value) == str(absent)


def test_in_this_process_a_model_is_opened_once(bundle: Bundle) -> None:
    blur, upsampling = (
        next(model for model in bundle.models(Target.ONNX, Precision.FP32) if model.stage is stage)
        for stage in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)
    )
    with InProcess() as transport:
        one = default_backend(Target.ONNX)
        session = transport.open(one, bundle, blur)
        assert transport.open(one, bundle, blur) is session
        assert transport.open(one, bundle, upsampling) is not session
        assert transport.open(backend("onnxruntime-unoptimised"), bundle, blur) is not session


@pytest.mark.parametrize("target", [Target.ONNX, Target.TFLITE])
def test_pictures_computed_side_by_side_are_those_computed_one_after_the_other(bundle: Bundle, target: Target) -> None:
    model = next(one for one in bundle.models(target, Precision.FP32) if one.stage is Stage.GUIDED_UPSAMPLING)
    session = default_backend(target).open(bundle, model, threads=2)
    assert isinstance(session, SharedSession)
    assert session.side_by_side()[1] == 2
    inputs = read_golden(bundle.path(bundle.manifest.golden[0].path)).inputs(model.stage)
    several = [{name: values * np.float32(part) for name, values in inputs.items()} for part in (1, 0.5, 0.25, 0)]
    for beside, each in zip(run_each(session, several), several, strict=True):
        np.testing.assert_allclose(beside, session.run(each), rtol=0, atol=1e-6)


@pytest.mark.parametrize("one", named(("onnxruntime", "litert", "litert-reference", "litert-fp16", "mil")))
def test_an_opened_file_says_what_the_manifest_declares(bundle: Bundle, one: Backend) -> None:
    for model in bundle.models(one.facts.targets[0]):
        session = one.open(bundle, model)
        assert isinstance(session, DescribedSession)
        tensors = session.tensors()
        assert tensors is not None
        assert declared_problems(model, tensors) == []


def test_a_file_of_another_target_is_the_callers_mistake(bundle: Bundle) -> None:
    model = bundle.models(Target.ONNX)[0]
    with pytest.raises(ValueError, match="litert-reference computes tflite files, not onnx ones"):
        backend("litert-reference").open(bundle, model)


def test_tensorflow_that_is_not_installed_says_how_to_get_it(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    one = backend("tensorflow-reference")
    with pytest.raises(
        BackendUnavailableError, match=r"tensorflow is not installed; run: pip install 'dofkit\[tensorf"
    ):
        one.open(bundle, _models(bundle, one)[0])


@pytest.mark.parametrize(("one", "package"), [("onnx-reference", "onnx"), ("litert-fp16", "tflite")])
def test_a_missing_extra_is_named(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, one: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, {"tflite": "ai_edge_litert"}.get(package, package), None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'dofkit\[{package}\]'"):
        backend(one).open(bundle, _models(bundle, backend(one))[0])


@pytest.mark.skipif(sys.platform != "linux", reason="the variables are those of Vulkan's loader")
@pytest.mark.parametrize("one", named(GPU))
def test_a_machine_without_a_gpu_is_told_of_the_software_one(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, one: Backend
) -> None:
    for name in ("VK_ICD_FILENAMES", "VK_DRIVER_FILES"):
        monkeypatch.setenv(name, "/nowhere.json")
    with OwnProcess() as transport, pytest.raises(BackendUnavailableError) as caught:
        transport.open(one, bundle, _models(bundle, one)[0])
    assert str(caught.value).startswith("no GPU adapter was found")
    assert "mesa-vulkan-drivers >= 25" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("one", named(id for id in OTHERS if id != "tensorflow-reference"))
def test_a_damaged_file_is_refused_in_a_line(bundle: Bundle, tmp_path: Path, one: Backend) -> None:
    model = _models(bundle, one)[0]
    copy = Bundle(tmp_path, bundle.manifest)
    copy.path(model.path).parent.mkdir(parents=True)
    copy.path(model.path).write_bytes(b"no model, and too short for one")
    with OwnProcess() as transport, pytest.raises(DofkitError) as caught:
        transport.open(one, copy, model)
    assert model.path in str(caught.value) or isinstance(caught.value, BackendUnavailableError)
    assert "\n" not in str(caught.value)

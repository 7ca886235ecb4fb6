"""A second opinion agrees with the ordinary runtime, by other means; where it cannot be had it says how to get it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from skimage.transform import resize

from dofkit.export.stages import StageGraph
from dofkit.export.tflite.convert import convert
from dofkit.runtime_ref.backends import open_session
from dofkit.runtime_ref.backends.isolated import IsolatedSessions
from dofkit.runtime_ref.backends.opinions import Opinion, OpinionUnavailableError, opinions_for
from dofkit.runtime_ref.backends.second.compiled import cpu_fp16
from dofkit.runtime_ref.backends.second.opening import open_opinion
from dofkit.runtime_ref.bundle import Bundle, ModelEntry
from dofkit.runtime_ref.bundle.golden import read_golden
from dofkit.runtime_ref.errors import DofkitError, MissingExtraError
from dofkit.runtime_ref.parity.check import metrics
from dofkit.runtime_ref.parity.tolerances import tolerance
from dofkit.runtime_ref.pipeline.stage import Signal, Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.weights import load_weights

GPU = (Opinion.LITERT_GPU_FP32, Opinion.LITERT_GPU_FP16)


@pytest.fixture(scope="module")
def bundle(bundle_path: Path) -> Bundle:
    return Bundle.open(bundle_path)


def _models(bundle: Bundle, opinion: Opinion, precision: Precision = Precision.FP32) -> list[ModelEntry]:
    return bundle.models(opinion.target, precision)


def _inputs(bundle: Bundle, stage: Stage) -> dict[str, np.ndarray]:
    return dict(read_golden(bundle.path(bundle.manifest.golden[0].path)).inputs(stage))


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
@pytest.mark.parametrize("opinion", [opinion for opinion in Opinion if opinion is not Opinion.LITERT_FP16])
def test_it_agrees_with_the_ordinary_runtime(bundle: Bundle, opinion: Opinion, precision: Precision) -> None:
    limits = Precision.FP16 if opinion.half else precision
    with IsolatedSessions(bundle, timeout=300) as sessions:
        for model in _models(bundle, opinion, precision):
            try:
                session = sessions.session(model, opinion)
            except OpinionUnavailableError as error:
                assert opinion in (*GPU, Opinion.TENSORFLOW_REFERENCE), "all else is installed with dofkit[all]"
                pytest.skip(str(error))
            inputs = _inputs(bundle, model.stage)
            expected = open_session(bundle, model).run(inputs)
            output = session.run(inputs)
            assert output.dtype == np.float32
            assert not _violations(model.stage, limits, model.target, expected, output)


@pytest.mark.parametrize("stage", Stage)
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
    stage: Stage, precision: Precision, target: Target, expected: np.ndarray, output: np.ndarray
) -> list[str]:
    values = metrics.picture(expected[0].transpose(1, 2, 0), output[0].transpose(1, 2, 0))
    return tolerance(stage.value, precision, target).violations(values)


def _scene(signal: Signal, shape: tuple[int, ...]) -> np.ndarray:
    """A photo for what is a picture, a plane from end to end of the range for what is not."""
    _, channels, height, width = shape
    if channels == 3:
        return np.asarray(resize(astronaut(), (height, width)), np.float32).transpose(2, 0, 1)[None]
    plane = np.linspace(signal.low, signal.high, width, dtype=np.float32)
    return np.broadcast_to(plane, shape).copy()


@pytest.mark.parametrize(
    "opinion", [Opinion.ONNX_UNOPTIMISED, Opinion.ONNX_REFERENCE, Opinion.TFLITE_REFERENCE, Opinion.LITERT_FP16]
)
def test_it_computes_by_other_means(bundle: Bundle, opinion: Opinion) -> None:
    # Another order of summation shows in the last bits; the same kernels would give the same bits. 16-bit floats show
    # far above them.
    differences = []
    for model in _models(bundle, opinion):
        inputs = _inputs(bundle, model.stage)
        expected = open_session(bundle, model).run(inputs)
        differences.append(np.abs(open_opinion(opinion, bundle, model).run(inputs) - expected).max())
    assert max(differences) > (1e-5 if opinion.half else 0)


@pytest.mark.parametrize("opinion", Opinion)
def test_its_result_depends_on_the_input(bundle: Bundle, opinion: Opinion) -> None:
    model = next(model for model in _models(bundle, opinion) if model.stage is Stage.LENS_BLUR)
    inputs = _inputs(bundle, model.stage)
    with IsolatedSessions(bundle) as sessions:
        try:
            session = sessions.session(model, opinion)
        except OpinionUnavailableError as error:
            pytest.skip(str(error))
        first = session.run(inputs).copy()
        assert np.abs(session.run(inputs | {"image": 1 - inputs["image"]}) - first).max() > 0.1


def test_every_opinion_belongs_to_one_target_and_says_what_it_takes() -> None:
    assert sorted(opinion for target in Target for opinion in opinions_for(target)) == sorted(Opinion)
    assert all(opinion in opinions_for(opinion.target) for opinion in Opinion)
    for text in ("title", "shows", "needs", "remedy"):
        assert all(getattr(opinion, text) for opinion in Opinion)
    assert len({opinion.title for opinion in Opinion}) == len(Opinion)
    assert [opinion for opinion in Opinion if opinion.half] == [Opinion.LITERT_FP16, Opinion.LITERT_GPU_FP16]


def test_a_file_of_another_target_is_the_callers_mistake(bundle: Bundle) -> None:
    model = bundle.models(Target.ONNX)[0]
    with pytest.raises(ValueError, match="computes tflite files"):
        open_opinion(Opinion.TFLITE_REFERENCE, bundle, model)


def test_tensorflow_that_is_not_installed_says_how_to_get_it(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    opinion = Opinion.TENSORFLOW_REFERENCE
    with pytest.raises(OpinionUnavailableError, match="tensorflow is not installed; run: pip install tensorflow"):
        open_opinion(opinion, bundle, _models(bundle, opinion)[0])


@pytest.mark.parametrize(("opinion", "package"), [(Opinion.ONNX_REFERENCE, "onnx"), (Opinion.LITERT_FP16, "tflite")])
def test_a_missing_extra_is_named(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, opinion: Opinion, package: str
) -> None:
    monkeypatch.setitem(sys.modules, {"tflite": "ai_edge_litert"}.get(package, package), None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'dofkit\[{package}\]'"):
        open_opinion(opinion, bundle, _models(bundle, opinion)[0])


@pytest.mark.skipif(sys.platform != "linux", reason="the variables are those of Vulkan's loader")
@pytest.mark.parametrize("opinion", GPU)
def test_a_machine_without_a_gpu_is_told_of_the_software_one(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, opinion: Opinion
) -> None:
    for name in ("VK_ICD_FILENAMES", "VK_DRIVER_FILES"):
        monkeypatch.setenv(name, "/nowhere.json")
    with IsolatedSessions(bundle) as sessions, pytest.raises(OpinionUnavailableError) as caught:
        sessions.session(_models(bundle, opinion)[0], opinion)
    assert str(caught.value).startswith("no GPU adapter was found")
    assert "mesa-vulkan-drivers >= 25" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("opinion", [opinion for opinion in Opinion if opinion is not Opinion.TENSORFLOW_REFERENCE])
def test_a_damaged_file_is_refused_in_a_line(bundle: Bundle, tmp_path: Path, opinion: Opinion) -> None:
    model = _models(bundle, opinion)[0]
    copy = Bundle(tmp_path, bundle.manifest)
    copy.path(model.path).parent.mkdir(parents=True)
    copy.path(model.path).write_bytes(b"no model, and too short for one")
    with IsolatedSessions(copy) as sessions, pytest.raises(DofkitError) as caught:
        sessions.session(model, opinion)
    assert model.path in str(caught.value) or isinstance(caught.value, OpinionUnavailableError)
    assert "\n" not in str(caught.value)

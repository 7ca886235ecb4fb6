"""A row's identity is its key; its title is made from that, reads as before, and no two rows share one."""

from __future__ import annotations

import pytest

from dofkit.runtime_ref.backends import backends_for
from dofkit.runtime_ref.parity.tolerances import Tolerance
from dofkit.runtime_ref.parity.verdict import PIPELINE, ParityResult, RowKey, Verdict
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES
from dofkit.runtime_ref.target import Precision, Target

ONNX = (Target.ONNX, Precision.FP32)
TFLITE = (Target.TFLITE, Precision.FP32)
COREML = (Target.COREML, Precision.FP16)


@pytest.mark.parametrize(
    ("key", "title"),
    [
        (RowKey.by_default("depth", *ONNX), "depth"),
        (RowKey.by_default("pipeline", *COREML), "pipeline"),
        (RowKey.by_default("pipeline", *COREML, tile=256), "pipeline, tiles of 256"),
        (RowKey("lens_blur", *ONNX, "onnxruntime-unoptimised", "cpu"), "lens_blur, graph unoptimised"),
        (RowKey("lens_blur", *ONNX, "onnx-reference", "cpu"), "lens_blur, onnx reference"),
        (RowKey.by_default("depth", *ONNX, depth_size=(448, 320)), "depth of 448x320"),
        (RowKey("depth", *TFLITE, "litert-reference", "cpu", depth_size=(64, 64)), "depth of 64, reference kernels"),
        (RowKey("depth", *TFLITE, "litert-reference", "cpu"), "depth, reference kernels"),
        (RowKey("depth", *TFLITE, "tensorflow-reference", "cpu"), "depth, TensorFlow reference kernels"),
        (RowKey("depth", *TFLITE, "litert-fp16", "cpu"), "depth, CPU fp16"),
        (RowKey("depth", *TFLITE, "litert-gpu-fp32", "gpu"), "depth, GPU fp32"),
        (RowKey("depth", *TFLITE, "litert-gpu-fp16", "gpu"), "depth, GPU fp16"),
        (RowKey("depth", *COREML, "coreml-neural-engine", "neural engine"), "depth on Neural Engine"),
        (RowKey("runtime", *COREML, backend="", device=""), "runtime"),
        (RowKey("depth", *ONNX, "pytorch", "cpu"), "depth, pytorch"),
    ],
)
def test_titles_read_as_in_reports_of_older_versions(key: RowKey, title: str) -> None:
    assert key.title == title
    assert key.full_title == f"{key.target.title} {key.precision} {title}"


@pytest.mark.parametrize("target", Target)
def test_no_two_rows_of_a_variant_share_a_title(target: Target) -> None:
    keys = {
        RowKey(scope, target, Precision.FP32, one.facts.id, one.facts.device, tile, size)
        for one in backends_for(target)
        for scope, tile, size in [
            *((stage.value, None, None) for stage in PIPELINE_STAGES),
            ("depth", None, (448, 320)),
            ("depth", None, (320, 448)),
            (PIPELINE, None, None),
            (PIPELINE, 256, None),
        ]
    }
    assert len({key.title for key in keys}) == len(keys)


def test_json_has_the_keys_of_older_versions_and_those_of_the_row() -> None:
    key = RowKey.by_default("pipeline", *COREML, tile=256)
    metrics = {"psnr": 40.0, "ssim": 0.98}
    row = ParityResult(key, Verdict.FAIL, metrics, "far", "evaluator", Tolerance(None, 50.0, "why"), causes=("BGR",))
    assert row.as_json() == {
        "target": Target.COREML,
        "precision": Precision.FP16,
        "scope": "pipeline, tiles of 256",
        "verdict": Verdict.FAIL,
        "metrics": metrics,
        "reason": "far",
        "runtime": "evaluator",
        "limits": {"max_abs": None, "psnr": 50.0, "reason": "why", "others": {}},
        "decisive": True,
        "causes": ("BGR",),
        "stage": None,
        "backend": "mil",
        "device": "cpu",
        "tile": 256,
        "depth_size": None,
        "grade": "good",
    }
    stage = ParityResult(RowKey("depth", *TFLITE, "litert-fp16", "cpu"), Verdict.PASS).as_json()
    assert (stage["scope"], stage["stage"], stage["grade"]) == ("depth, CPU fp16", "depth", None)

"""What is promised of networks that were brought: by stage, and of the pipeline that they are a part of."""

from __future__ import annotations

import pytest

from dofkit.runtime_ref.parity.tolerances import tolerance
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target


def least(scope: str, precision: Precision, *brought: Stage) -> float:
    found = tolerance(scope, precision, Target.ONNX, brought=frozenset(brought)).psnr
    assert found is not None
    return found


def test_a_rendering_network_is_held_to_100_db_in_fp32_and_60_in_fp16() -> None:
    assert least("lens_blur", Precision.FP32, Stage.LENS_BLUR) == 100
    assert least("guided_upsampling", Precision.FP16, Stage.GUIDED_UPSAMPLING) == 60


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_a_brought_rendering_network_loosens_nothing_of_the_pipeline_in_floats(precision: Precision) -> None:
    assert least("pipeline", precision, Stage.LENS_BLUR) == least("pipeline", precision)


@pytest.mark.parametrize("precision", [Precision.W8, Precision.DYNAMIC, Precision.W8A8])
def test_a_pipeline_may_lose_what_its_brought_stages_may_and_no_more_than_all_of_them(precision: Precision) -> None:
    own, rendering = least("pipeline", precision), least("pipeline", precision, Stage.LENS_BLUR)
    both = least("pipeline", precision, Stage.LENS_BLUR, Stage.DEPTH)
    assert rendering <= min(own, least("lens_blur", precision, Stage.LENS_BLUR))
    assert both <= min(rendering, least("depth", precision, Stage.DEPTH))


def test_a_core_that_sums_in_half_is_held_to_less_and_only_in_depth_and_fp16() -> None:
    def on_arm(scope: str, precision: Precision, stage: Stage) -> float | None:
        return tolerance(scope, precision, Target.ONNX, half_sums=True, brought={stage}).psnr

    assert on_arm("depth", Precision.FP16, Stage.DEPTH) == 38 < least("depth", Precision.FP16, Stage.DEPTH)
    assert on_arm("depth", Precision.FP32, Stage.DEPTH) == least("depth", Precision.FP32, Stage.DEPTH)
    blur = on_arm("lens_blur", Precision.FP16, Stage.LENS_BLUR)
    assert blur == least("lens_blur", Precision.FP16, Stage.LENS_BLUR)

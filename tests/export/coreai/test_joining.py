"""One model for several stages and sizes: each entry point computes what its own model computes, weights are shared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("coreai_torch")

from dofkit.export.coreai.joining import join
from dofkit.export.coreai.stored import stored_convolutions
from dofkit.runtime_ref.coreai import Asset, open_program
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.target import Precision

from ...runtime_ref.coreai.programs import apples

pytestmark = pytest.mark.e2e  # every file here is converted


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.W8A8])
def test_entry_points_compute_what_their_own_models_compute_and_share_weights(
    precision: Precision, asset: Callable[[Precision], Path], picture: np.ndarray, tmp_path: Path
) -> None:
    one, joined = asset(precision), tmp_path / "both.aimodel"
    join({"blur": one, "blur_256": one, "half": asset(Precision.FP16)}, joined)
    assert list(Asset(joined).functions) == ["blur", "blur_256", "half"]
    alone = apples(one, {"image": picture})["picture"]
    for function in ("blur", "blur_256"):
        np.testing.assert_array_equal(apples(joined, {"image": picture}, function)["picture"], alone)
        ours = open_program(joined, function).run({"image": picture}).outputs["picture"]
        np.testing.assert_allclose(ours, alone, atol=1e-3 if precision is Precision.W8A8 else 1e-5)
        labels = [call.label for call in stored_convolutions(joined, function)]
        assert labels == [call.label for call in stored_convolutions(one)]
    size, parts = ((path / "main.mlirb").stat().st_size for path in (joined, one))
    half = (asset(Precision.FP16) / "main.mlirb").stat().st_size
    assert size < 2 * parts + half - 4 * 32 * 16 * 9 / 4, "the largest weight is stored once"


def test_a_model_with_several_entry_points_and_no_main_asks_which(
    asset: Callable[[Precision], Path], tmp_path: Path
) -> None:
    joined = tmp_path / "both.aimodel"
    join({"blur": asset(Precision.FP32), "other": asset(Precision.FP16)}, joined)
    with pytest.raises(DofkitError, match="has several functions; name one with --function: blur, other"):
        open_program(joined)

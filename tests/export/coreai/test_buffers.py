"""Camera buffers: declared as images, read in their order of bytes, computed by the evaluator, refused by name where no
runtime takes them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("coreai_torch")

from dofkit.export.coreai.buffers import take_buffers
from dofkit.export.coreai.convert import converted
from dofkit.export.coreai.quantise import quantise
from dofkit.export.coreai.tools import save
from dofkit.runtime_ref.backends import BackendUnavailableError
from dofkit.runtime_ref.backends.coreai import CoreAISession
from dofkit.runtime_ref.backends.mil import ProgramSession
from dofkit.runtime_ref.coreai import open_program
from dofkit.runtime_ref.mil import ColorSpace
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision

pytestmark = pytest.mark.e2e  # every file here is converted

SHAPE = (1, 3, 6, 8)


class _Weighted(torch.nn.Module):
    """Tells the channels apart, and rows from columns."""

    def forward(self, image: torch.Tensor, defocus: torch.Tensor) -> torch.Tensor:
        ramp = torch.linspace(0, 1, SHAPE[3])
        return image * torch.tensor([0.2, 0.5, 0.9])[:, None, None] * ramp + 0.1 * defocus


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("buffers") / "buffers.aimodel"
    example = (torch.rand(SHAPE), torch.rand(1, 1, 6, 8))
    module = converted(_Weighted(), example, ["image", "defocus"], ["blurred"], "weighted")
    take_buffers(module, {"image"})
    save(module, path)
    return path


def test_pictures_are_declared_as_buffers_and_maps_as_tensors(model: Path) -> None:
    image, defocus = open_program(model).inputs
    assert (image.name, image.color, image.shape) == ("image", ColorSpace.BGRA, SHAPE)
    assert (defocus.name, defocus.color, defocus.shape) == ("defocus", None, (1, 1, 6, 8))


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_bytes_are_taken_in_the_order_of_a_32bgra_buffer(precision: Precision, model: Path, tmp_path: Path) -> None:
    path = model
    if precision is Precision.FP16:
        path = tmp_path / "half.aimodel"
        quantise(model, path, precision, None, ())
    levels = np.random.default_rng(2).integers(0, 256, SHAPE)
    inputs = {"image": (levels / 255).astype(np.float32), "defocus": np.full((1, 1, 6, 8), 0.5, np.float32)}
    output = ProgramSession(Stage.LENS_BLUR, open_program(path), "evaluator").run(inputs)
    wanted = levels / 255 * np.array([0.2, 0.5, 0.9])[:, None, None] * np.linspace(0, 1, 8) + 0.05
    np.testing.assert_allclose(output, wanted, atol=1e-6 if precision is Precision.FP32 else 1e-3)


def test_values_between_two_levels_are_rounded_as_a_buffer_holds_them(model: Path) -> None:
    inputs = {"image": np.full(SHAPE, 100.4 / 255, np.float32), "defocus": np.zeros((1, 1, 6, 8), np.float32)}
    output = ProgramSession(Stage.LENS_BLUR, open_program(model), "evaluator").run(inputs)
    np.testing.assert_allclose(output[0, :, 0, -1], 100 / 255 * np.array([0.2, 0.5, 0.9]), atol=1e-6)


@pytest.mark.skipif(sys.platform == "darwin", reason="here the runtime takes buffers")
def test_the_linux_runtime_says_that_it_takes_none(model: Path) -> None:
    with pytest.raises(BackendUnavailableError, match="takes camera buffers on macOS only; check on a Mac"):
        CoreAISession(Stage.LENS_BLUR, model, None)


def test_an_image_of_another_kind_is_refused_in_a_line(model: Path) -> None:
    from dofkit.runtime_ref.coreai.program import _image
    from dofkit.runtime_ref.errors import DofkitError

    with pytest.raises(DofkitError, match=r"k24RGB.*; tensors and k32BGRA images are read"):
        _image("image", "!coreai.image<<k24RGB> x 6 : i64 x 8 : i64>", str(model))

"""In every precision both judges compute the same, and the program stores the network's weights."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("coreai_torch")

from dofkit.export.coreai.quantise import quantise
from dofkit.export.coreai.stored import stored_convolutions, stored_weights
from dofkit.export.folded import network_weights
from dofkit.runtime_ref.coreai import Asset, open_program
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.mil import Element, Numerics
from dofkit.runtime_ref.target import Precision

from ...runtime_ref.coreai.programs import apples

pytestmark = pytest.mark.e2e  # every file here is converted

# Least PSNR in dB against PyTorch, a little below what the small network reaches.
LEAST = {
    Precision.FP32: 130,
    Precision.FP16: 70,
    Precision.W8: 55,
    Precision.W8A8: 40,
    Precision.W4: 30,
    Precision.PALETTE8: 55,
    Precision.PALETTE6: 48,
    Precision.PALETTE4: 30,
}
LABELS = {
    Precision.FP32: {"fp32"},
    Precision.FP16: {"fp16"},
    Precision.W8: {"fp16", "int8"},
    Precision.W8A8: {"fp16", "int8"},
    Precision.W4: {"fp16", "int4"},
    Precision.PALETTE8: {"fp16", "palette8"},
    Precision.PALETTE6: {"fp16", "palette6"},
    Precision.PALETTE4: {"fp16", "palette4"},
}
Model = Callable[[Precision], Path]


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a.astype(np.float64) - b) ** 2) + 1e-30))


@pytest.mark.parametrize("precision", LEAST)
def test_both_judges_are_as_near_to_pytorch_as_the_precision_allows(
    precision: Precision, asset: Model, network: torch.nn.Module, picture: np.ndarray
) -> None:
    with torch.no_grad():
        wanted = network(torch.from_numpy(picture)).numpy()
    path = asset(precision)
    ours = open_program(path).run({"image": picture}).outputs["picture"]
    theirs = apples(path, {"image": picture})["picture"]
    assert theirs.dtype == np.float32
    assert min(_psnr(wanted, ours), _psnr(wanted, theirs)) > LEAST[precision]
    assert _psnr(ours, theirs) > max(LEAST[precision] + 20, 90)


@pytest.mark.parametrize("precision", LEAST)
def test_every_stored_weight_is_the_networks(
    precision: Precision, asset: Model, network: torch.nn.Module, example: tuple[torch.Tensor, ...]
) -> None:
    entries = stored_weights().compare(network_weights(network, example), asset(precision))
    assert [entry.name for entry in entries] == ["first.0", "depthwise.0", "wide", "last"]
    assert {entry.problem for entry in entries} == {""}
    assert {entry.stored for entry in entries} == LABELS[precision]


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.W8, Precision.PALETTE6])
def test_a_flipped_bit_is_refused_by_the_hash_and_found_by_the_weights(
    precision: Precision,
    asset: Model,
    network: torch.nn.Module,
    example: tuple[torch.Tensor, ...],
    tmp_path: Path,
) -> None:
    copy = tmp_path / "flipped.aimodel"
    shutil.copytree(asset(precision), copy)
    part = {Precision.FP32: "val", Precision.W8: "data", Precision.PALETTE6: "lut"}[precision]
    wide = stored_convolutions(copy)[2].weight.parts[part]
    program = copy / "main.mlirb"
    data = bytearray(program.read_bytes())
    place = bytes(data).find(np.ascontiguousarray(wide).tobytes())
    assert place > 0, "the weight lies in the program as it is"
    data[place] ^= 1
    program.write_bytes(data)
    with pytest.raises(DofkitError, match=r"main\.mlirb is not what main\.hash says"):
        Asset(copy)
    (copy / "main.hash").write_bytes(hashlib.sha256(data).digest())
    entries = stored_weights().compare(network_weights(network, example), copy)
    assert [bool(entry.problem) for entry in entries] == [False, False, True, False]


def test_half_precision_leaves_inputs_and_outputs_in_float32(asset: Model) -> None:
    program = open_program(asset(Precision.FP16))
    assert {feature.element for feature in (*program.inputs, *program.outputs)} == {Element.FLOAT32}
    inside = {str(declared).partition("[")[0] for op in program.function.block.operations for _, declared in op.outputs}
    assert "fp16" in inside


def test_layers_that_are_kept_stay_in_half_precision(asset: Model, tmp_path: Path) -> None:
    base, goal = asset(Precision.FP32), tmp_path / "kept.aimodel"
    kept = stored_convolutions(base)[2].name
    quantise(base, goal, Precision.W8, None, {kept})
    assert [call.label for call in stored_convolutions(goal)] == ["fp16", "fp16", "fp16", "fp16"]
    assert [call.label for call in stored_convolutions(asset(Precision.W8))][2] == "int8"


def test_ideal_arithmetic_is_nearer_to_what_is_stored_than_rounding_is(asset: Model, picture: np.ndarray) -> None:
    path, inputs = asset(Precision.FP16), {"image": picture.astype(np.float64)}
    ideal = open_program(path, numerics=Numerics.IDEAL).run(inputs).values["picture"]
    typed = open_program(path).run(inputs).values["picture"]
    assert ideal.dtype == np.float64
    assert 1e-7 < np.abs(ideal - typed).max() < 5e-3


def test_a_folder_that_is_no_model_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match=r"is not a Core AI model: its main\.mlirb cannot be read"):
        Asset(tmp_path)

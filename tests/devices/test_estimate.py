"""An estimate is the roofline of what a file asks for, says that it is one, and refuses rates that nobody states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dofkit.devices.estimate import (
    Cost,
    Estimate,
    cost_of,
    estimate_bundle,
    instructions_of,
    profile_rates,
    roofline,
)
from dofkit.devices.estimate_validation import RatioSpread, Validation, spread_of, yardsticks
from dofkit.devices.lint.readers import onnx_graph
from dofkit.devices.profile import DeviceUnit, profile
from dofkit.devices.rates import Rates, rates_here
from dofkit.devices.registry import device
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.target import Precision, Target

from ..runtime_ref.bundle.small_bundle import model, write_bundle
from .lint.small_files import onnx_file

RATES = Rates(gflops=10, bandwidth=2)


def file_of(path: Path, channels: int = 4) -> Path:
    """A 3×3 convolution of 4 → 8 channels at 16×16, then its ReLU."""
    nodes = [("Conv", ["image", "w"], "a", {"pads": [1] * 4}), ("Relu", ["a"], "b", {})]
    return onnx_file(path, nodes, {"w": np.ones((8, channels, 3, 3), np.float32)})


def test_a_convolution_asks_for_two_operations_a_product_and_for_its_tensors(tmp_path: Path) -> None:
    graph = onnx_graph(file_of(tmp_path / "a.onnx"))
    conv, relu = (cost_of(graph, node) for node in graph.nodes)
    assert conv == Cost(flops=2 * 36 * 8 * 256, moved=4 * (4 * 256 + 8 * 256 + 8 * 36))
    assert relu == Cost(flops=8 * 256, moved=4 * 2 * 8 * 256)


def test_an_operation_takes_the_longer_of_computing_and_moving() -> None:
    assert Cost(flops=2e7, moved=1e6).milliseconds(RATES) == pytest.approx(2.0)
    assert Cost(flops=1e6, moved=1e7).milliseconds(RATES) == pytest.approx(5.0)


def test_a_files_time_is_the_sum_of_its_operations_and_the_memorys_part_is_told(tmp_path: Path) -> None:
    graph = onnx_graph(file_of(tmp_path / "a.onnx"))
    cost, milliseconds, bound = roofline(graph, RATES)
    conv, relu = (cost_of(graph, node).milliseconds(RATES) for node in graph.nodes)
    assert milliseconds == pytest.approx(conv + relu)
    assert bound == pytest.approx(relu / (conv + relu)), "the ReLU moves more than it computes"
    assert cost.flops == 2 * 36 * 8 * 256 + 8 * 256


def test_rates_that_no_document_states_are_refused() -> None:
    assert profile_rates(profile("raspberry-pi-5")) == Rates(153.6, 17.1, DeviceUnit.CPU)
    with pytest.raises(DofkitError, match="no public document states the rates of iPhone 15's Neural Engine"):
        profile_rates(profile("iphone-15"), DeviceUnit.NEURAL_ENGINE)
    with pytest.raises(DofkitError, match="has no Neural Engine; it has cpu, gpu, nnapi"):
        profile_rates(profile("pixel-9"), DeviceUnit.NEURAL_ENGINE)


@pytest.mark.e2e
def test_this_machines_rates_are_positive() -> None:
    rates = rates_here(threads=1, side=64)
    assert rates.gflops > 0
    assert rates.bandwidth > 0


def test_a_bundle_is_estimated_and_every_row_says_that_it_is_one(tmp_path: Path) -> None:
    content = file_of(tmp_path / "a.onnx").read_bytes()
    bundle = write_bundle(tmp_path / "b.dofbundle", [model("depth", content=content)], [])
    (found,) = estimate_bundle(bundle.root, RATES)
    assert found.as_json()["is_estimate"] is True
    assert found.validations == ()
    with pytest.raises(DofkitError, match="holds nothing that Neural Engine computes; it holds onnx fp32"):
        estimate_bundle(bundle.root, Rates(1, 1, DeviceUnit.NEURAL_ENGINE))


def test_instructions_are_those_that_compute_and_those_that_move(tmp_path: Path) -> None:
    graph = onnx_graph(file_of(tmp_path / "a.onnx"))
    conv, relu = (cost_of(graph, node) for node in graph.nodes)
    floats = (conv.flops + relu.flops) / 8  # four lanes, two operations each
    assert instructions_of(graph) == pytest.approx((floats + (conv.moved + relu.moved) / 16) / 1e6)


def test_the_error_is_the_spread_of_what_was_measured_through_what_was_estimated() -> None:
    def one(estimated: float, measured: float | None) -> Validation:
        return Validation("host", "x", "X", "ms", estimated, measured)

    found = [one(estimated, 12.0) for estimated in (2.0, 4.0, 6.0)]
    assert [each.ratio for each in found] == [6.0, 3.0, 2.0]
    assert spread_of([*found, one(1.0, None)]) == RatioSpread(typical=3.0, least=2.0, greatest=6.0)
    assert spread_of([one(1.0, None)]) is None


def test_the_table_has_a_column_for_each_device_and_a_line_for_each_backend(capsys: pytest.CaptureFixture[str]) -> None:
    from dofkit.commands._device_tables import print_estimates

    entry = model("depth")["entry"]
    host = Validation("host", "x", "X", "ms", 2.0, 5.0)
    arm = Validation("arm64", "y", "Y", "million instructions", 2.0, reason="no emulator")
    print_estimates([Estimate(entry, Cost(1e6, 1e6), 1.0, 0.5, (host, arm))], "a device")
    text = capsys.readouterr().out
    assert "X, time, measured / estimated: 2.5 in the median, 2.5 to 2.5" in text
    assert "Y, instructions, measured / estimated: NOT RUN (no emulator)" in text


def test_estimates_are_held_against_cpus_that_compute_the_floats_that_are_stored() -> None:
    devices = [device(name) for name in ("host", "browser", "arm64")]
    found = {(one.device, one.backend.facts.id, one.counts) for one in yardsticks(devices, Target.TFLITE)}
    assert found == {("host", "litert", False), ("browser", "litert-wasm", False), ("arm64", "litert-arm64", True)}


def test_a_device_that_is_not_installed_says_so_beside_every_estimate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOFKIT_CACHE", str(tmp_path / "nothing"))
    content = file_of(tmp_path / "a.onnx").read_bytes()
    bundle = write_bundle(tmp_path / "b.dofbundle", [model("depth", content=content)], [])
    (found,) = estimate_bundle(bundle.root, RATES, devices=[device("arm64")])
    (one,) = found.validations
    assert (one.backend, one.unit, one.ratio) == ("onnx-arm64", "million instructions", None)
    assert "dofkit doctor --install arm64" in one.reason


@pytest.mark.e2e
def test_an_estimate_is_validated_on_this_machine(bundle_path: Path) -> None:
    found = estimate_bundle(
        bundle_path, RATES, targets=[Target.ONNX], precisions=[Precision.FP32], devices=[device("host")]
    )
    assert [one.model.stage.value for one in found] == ["depth", "lens_blur", "guided_upsampling"]
    for one in found:
        (validation,) = one.validations
        assert validation.ratio is not None, validation.reason
        assert validation.ratio > 0

"""`dofkit bench` and `dofkit check` on every device that is installed, with a network of one operation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from dofkit.devices.arm64 import installation as arm64
from dofkit.devices.browser import installation as browser
from dofkit.runtime_ref.bundle import Bundle, TensorEntry
from dofkit.runtime_ref.cache import cache_folder

from ..runtime_ref.bundle.small_bundle import model, write_bundle
from .lint.small_files import Tflite, onnx_file

pytestmark = pytest.mark.e2e
USERS = cache_folder()  # where the user's installation lies; tests have a cache of their own
WEIGHTS = np.array([1, 2, 3], np.float32)  # of the channels, as the tool on the device of the tests has them
MISSING = {"arm64": arm64.missing_counter, "browser": browser.missing}


def nhwc(tensors: tuple[TensorEntry, ...]) -> tuple[TensorEntry, ...]:
    return tuple(one.model_copy(update={"shape": (1, 8, 8, 3), "layout": "NHWC"}) for one in tensors)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A depth network for ONNX and TFLite that multiplies each channel by its weight."""
    image = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    weights = WEIGHTS[None, :, None, None]
    onnx = onnx_file(tmp_path / "a.onnx", [("Mul", ["image", "w"], "disparity", {})], {"w": weights}, image.shape)
    made = Tflite((1, 8, 8, 3)).add("MUL", (1, 8, 8, 3), WEIGHTS[None, None, None, :])
    tflite = made.write(tmp_path / "a.tflite", ("depth", "image", "disparity"))
    models = [model("depth", name, content=path.read_bytes()) for name, path in (("onnx", onnx), ("tflite", tflite))]
    entry = models[1]["entry"]
    models[1]["entry"] = entry.model_copy(update={"inputs": nhwc(entry.inputs), "outputs": nhwc(entry.outputs)})
    return write_bundle(tmp_path / "b.dofbundle", models, [], depth=(image, image * weights))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Skips where a device is not installed."""
    monkeypatch.setenv("DOFKIT_CACHE", str(USERS))

    def require(name: str) -> None:
        absent = MISSING[name]() if name in MISSING else None
        if absent is not None:
            pytest.skip(str(absent))
        if name == "browser":
            pytest.importorskip("playwright", reason="pip install 'dofkit[browser]'")

    return require


def rows_of(done: Result) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["results"]


BENCH = ("--threads", "1", "--photo", "0", "--runs", "5", "--seconds", "0.1", "--json")


@pytest.mark.parametrize(
    ("name", "target", "backends"),
    [
        ("host", "tflite", {"litert"}),
        ("browser", "onnx", {"onnx-wasm", "onnx-webgpu"}),
        ("arm64", "onnx", {"onnx-arm64"}),
    ],
)
def test_bench_measures_a_device_and_compares_what_it_computes(
    bundle: Bundle, cli: Callable[..., Result], installed: Callable[[str], None], name: str, target: str, backends: set
) -> None:
    installed(name)
    rows = rows_of(cli("bench", str(bundle.root), "--device", name, "--target", target, *BENCH))
    assert {row["backend"] for row in rows} == backends
    for row in rows:
        assert row["error"] == ""
        (stage,) = row["stages"]
        assert stage["parity"]["psnr"] >= 120
        assert len(stage["samples"]) >= 5
        assert (stage["instructions"] or 0) > 0 or name != "arm64"


def test_a_device_behind_a_cable_stands_in_one_table_with_this_machine(
    bundle: Bundle, cli: Callable[..., Result], plugged: Callable[..., Any], tool: Path
) -> None:
    serial = plugged().serial
    there = ("--device", f"adb:{serial}", "--device-binary", str(tool))
    rows = rows_of(cli("bench", str(bundle.root), "--device", "host", *there, "--target", "tflite", *BENCH))
    assert [row["backend"] for row in rows] == ["litert", f"adb:{serial}:tflite:cpu"]
    assert [row["stages"][0]["parity"]["psnr"] >= 120 for row in rows] == [True, True]
    assert rows[1]["machine"]["processor"] == "Maker Model 9 (Chip)"


@pytest.mark.parametrize(("name", "backends"), [("browser", 2), ("arm64", 2)])
def test_check_asks_a_device_for_every_stage(
    bundle: Bundle, cli: Callable[..., Result], installed: Callable[[str], None], name: str, backends: int
) -> None:
    installed(name)
    rows = rows_of(cli("check", str(bundle.root), "--device", name, "--target", "tflite", "--json"))
    assert [row["verdict"] for row in rows] == ["PASS"] * backends, rows

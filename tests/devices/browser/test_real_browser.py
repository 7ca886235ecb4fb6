"""A real page, where Chromium and the npm packages are installed: WebAssembly, and WebGPU in software or on a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dofkit.devices.browser.backend import backend
from dofkit.runtime_ref.backends.own_process import OwnProcess
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.bundle.golden import read_golden
from dofkit.runtime_ref.cache import cache_folder
from dofkit.runtime_ref.parity.metrics import psnr
from dofkit.runtime_ref.pipeline.portrait import from_network
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision

pytestmark = pytest.mark.slow  # `test_every_device` and the demo are in CI
USERS = cache_folder()  # where the user's installation lies; tests have a cache of their own
RING = 12  # pixels: how WebGPU rounds at borders is not compared


@pytest.mark.parametrize(
    ("id", "stage", "least"),
    [
        ("onnx-wasm", Stage.GUIDED_UPSAMPLING, 120),
        ("litert-wasm", Stage.LENS_BLUR, 120),
        # Without channels of zeros in its convolutions it is 32 dB, see `runtime_ref.runtime_faults`.
        ("onnx-webgpu", Stage.LENS_BLUR, 100),
        ("litert-webgpu", Stage.LENS_BLUR, 100),
    ],
)
def test_a_page_computes_what_pytorch_computed(
    id: str, stage: Stage, least: float, bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOFKIT_CACHE", str(USERS))
    asked = backend(id)
    if (absent := asked.available()) is not None:
        pytest.skip(str(absent))
    bundle = Bundle.open(bundle_path)
    (model,) = (m for m in bundle.models(asked.facts.targets[0], Precision.FP32) if m.stage is stage)
    golden = read_golden(bundle.path(bundle.manifest.golden[0].path))
    with OwnProcess(threads=1) as transport:
        session = transport.open(asked, bundle, model)
        output = from_network(session.run(golden.inputs(stage)))
    expected, core = from_network(golden.output(stage)), np.s_[RING:-RING, RING:-RING]
    assert psnr(expected[core], output[core]) >= least
    assert "Chromium" in session.runtime

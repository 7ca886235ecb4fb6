"""A session's process counts instructions where its device does, and says that there are none elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dofkit.runtime_ref.backends import _worker
from dofkit.runtime_ref.backends._wire import Hello, Request
from dofkit.runtime_ref.backends.backend import Origin
from dofkit.runtime_ref.bundle import Bundle


class _Plain:
    runtime = "plain"

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return inputs["image"]


class _Counting(_Plain):
    def instructions(self, inputs: Mapping[str, np.ndarray]) -> int:
        return 1000 * inputs["image"].size


def test_instructions_travel_with_the_reply_and_are_none_where_nobody_counts(bundle_path: Path) -> None:
    bundle = Bundle.open(bundle_path)
    origin = Origin(module="dofkit.devices.arm64.backend", id="onnx-arm64")
    desk = _worker._Desk(Hello(root=bundle.root, manifest=bundle.manifest, origin=origin, threads=1))
    desk._sessions.update(plain=_Plain(), counting=_Counting())
    inputs = {"image": np.zeros((1, 3, 2, 2), np.float32)}
    arrays: dict[str, np.ndarray] = {}
    counted = {key: desk.answer(Request(action="count", key=key), inputs, arrays) for key in ("plain", "counting")}
    assert {key: reply.instructions for key, reply in counted.items()} == {"plain": None, "counting": 12000}
    assert arrays == {}  # no picture travels

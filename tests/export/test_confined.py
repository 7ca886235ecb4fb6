"""Converters of brought networks run in a process of their own: what they give, raise and may take."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dofkit.export.confined import VARIABLE, confined
from dofkit.export.stages import StageGraph
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Target

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a forked process may not compute elsewhere")


def graph(rewritten: bool = True) -> StageGraph:
    return StageGraph(Stage.DEPTH, torch.nn.Conv2d(3, 1, 1).eval(), (8, 8), rewritten=rewritten)


@linux
def test_what_a_conversion_gives_and_writes_comes_back_from_another_process(tmp_path: Path) -> None:
    def work() -> tuple[int, float]:
        (tmp_path / "model").write_text("converted")
        return os.getpid(), float(torch.nn.functional.conv2d(torch.ones(1, 8, 64, 64), torch.ones(8, 8, 3, 3)).max())

    pid, greatest = confined(graph(), Target.ONNX, work)
    assert pid != os.getpid()
    assert greatest == 72
    assert (tmp_path / "model").read_text() == "converted"


def test_our_own_networks_and_a_limit_of_nothing_stay_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert confined(graph(rewritten=False), Target.ONNX, os.getpid) == os.getpid()
    monkeypatch.setenv(VARIABLE, "0")
    assert confined(graph(), Target.ONNX, os.getpid) == os.getpid()


def _taking_all() -> None:
    kept = [np.ones(1_250_000) for _ in range(400)]  # it ends by itself at 4 GB if nothing ends it
    kept.clear()


def _raising() -> None:
    raise DofkitError("depth: aten.roll in blocks.0 (Swin); a pass is missing")


def _failing() -> None:
    raise KeyError("roll")


def _ended() -> None:
    os.kill(os.getpid(), 9)


@linux
@pytest.mark.parametrize(
    ("work", "words"),
    [
        (_taking_all, r"depth: Core ML's converter needs more than 0\.2 GB of memory; take a smaller --depth-size"),
        (_raising, r"^depth: aten\.roll in blocks\.0 \(Swin\); a pass is missing$"),
        (_failing, r"depth: Core ML's converter failed \(KeyError: 'roll'\)"),
        (_ended, r"was ended before it was done, perhaps for want of memory; .* DOFKIT_CONVERTER_GB"),
    ],
)
def test_what_ends_a_conversion_is_one_line(work: object, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0.2")
    with pytest.raises(DofkitError, match=words):
        confined(graph(), Target.COREML, work)  # pyright: ignore[reportArgumentType]


def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "much")
    with pytest.raises(DofkitError, match="DOFKIT_CONVERTER_GB=much is no number of gigabytes; 0 turns the limit off"):
        confined(graph(), Target.ONNX, os.getpid)

"""Converters of brought networks run in a process of their own: what they give, raise and may take."""

from __future__ import annotations

import importlib
import operator
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from dofkit.export.confined import VARIABLE, confined
from dofkit.export.stages import StageGraph
from dofkit.runtime_ref.backends.patience import patience
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Target

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what a process takes is known on Linux only")


def graph(rewritten: bool = True) -> StageGraph:
    return StageGraph(Stage.DEPTH, torch.nn.Conv2d(3, 1, 1).eval(), (8, 8), rewritten=rewritten)


@linux
def test_what_a_conversion_gives_and_writes_comes_back_from_another_process(tmp_path: Path) -> None:
    assert confined(graph(), Target.ONNX, os.getpid) != os.getpid()
    assert confined(graph(), Target.ONNX, partial(Path.write_text, tmp_path / "model", "converted")) == 9
    assert (tmp_path / "model").read_text() == "converted"


def test_our_own_networks_and_a_limit_of_nothing_stay_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert confined(graph(rewritten=False), Target.ONNX, os.getpid) == os.getpid()
    monkeypatch.setenv(VARIABLE, "0")
    assert confined(graph(), Target.ONNX, os.getpid) == os.getpid()


@linux
def test_a_conversion_ends_while_other_threads_compute_and_hold_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locking.py").write_text(
        "import threading\nimport torch\nlock = threading.Lock()\n"
        "def work(ones):\n    with lock:\n        return float((ones @ ones).max())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    locking = importlib.import_module("locking")
    threads, before = torch.get_num_threads(), torch.ones(300, 300)
    torch.set_num_threads(4)
    try:
        assert float((before @ before).max()) == 300  # its pool has begun
        with locking.lock:  # a copy of this process would wait for it for ever
            assert confined(graph(), Target.ONNX, partial(locking.work, before)) == 300
    finally:
        torch.set_num_threads(threads)


@linux
@pytest.mark.parametrize(
    ("work", "words"),
    [
        (
            partial(operator.mul, b"x", 4_000_000_000),
            r"depth: Core ML's converter needs more than 1\.0 GB of memory; take a smaller --depth-size",
        ),
        (patience, "^DOFKIT_RUNTIME_SECONDS=long is no number of seconds above 0; leave it out for 600$"),
        (partial(operator.getitem, {}, "roll"), r"depth: Core ML's converter failed \(KeyError: 'roll'\)"),
        (
            partial(signal.raise_signal, 9),
            r"was ended before it was done, perhaps for want of memory; .* DOFKIT_CONVERTER_GB",
        ),
    ],
)
def test_what_ends_a_conversion_is_one_line(
    work: Callable[[], object], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    monkeypatch.setenv("DOFKIT_RUNTIME_SECONDS", "long")
    with pytest.raises(DofkitError, match=words):
        confined(graph(), Target.COREML, work)


def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "much")
    with pytest.raises(DofkitError, match="DOFKIT_CONVERTER_GB=much is no number of gigabytes; 0 turns the limit off"):
        confined(graph(), Target.ONNX, os.getpid)

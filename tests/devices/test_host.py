"""A worker that dies or refuses becomes a row of the table, never the end of the bench."""

from __future__ import annotations

from pathlib import Path

import pytest

from dofkit.devices import host
from dofkit.runtime_ref.memory import peak_memory
from dofkit.runtime_ref.target import Precision, Target


@pytest.fixture
def request_() -> host.BenchRequest:
    return host.BenchRequest(bundle=Path("nowhere.dofbundle"), target=Target.ONNX, precision=Precision.FP32)


def test_a_refusal_of_the_worker_is_the_rows_error(request_: host.BenchRequest) -> None:
    figures = host.bench(request_)
    assert "is not a bundle" in figures.error
    assert figures.stages == ()


def test_a_crash_is_named_by_its_signal(request_: host.BenchRequest, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "crashing.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(host, "WORKER", "crashing")
    assert host.bench(request_).error == "the runtime's process died with SIGSEGV"


def test_peak_memory_grows_with_what_was_used() -> None:
    before = peak_memory()
    block = bytearray(b"x") * (before + (64 << 20))
    assert peak_memory() >= len(block)

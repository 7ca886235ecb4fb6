"""Times and memory of models in other processes: measured there, of what they are said to be of."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from dofkit.runtime_ref.backends.latency import MIN_RUNS, TimeBudget
from dofkit.runtime_ref.backends.own_process import OwnProcess
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.pipeline.portrait import Lens
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage

from .there import fake_runtime, golden_inputs, model_of, open_there

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def test_loading_and_the_first_run_do_not_count_as_steady(
    bundle: Bundle, transport: OwnProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runtime(tmp_path, monkeypatch, "time.sleep(0.03)", run="time.sleep(0.03 if self.runs == 1 else 0)")
    session = open_there(transport, bundle, model_of(bundle))
    times = session.time_runs({}, TimeBudget(runs=MIN_RUNS + 3, seconds=10))
    assert session.load >= 30
    assert times.first >= 30
    assert len(times.steady) == MIN_RUNS + 3
    assert min(times.steady) < 20


def test_a_whole_photo_is_timed_where_its_stages_are(bundle: Bundle, transport: OwnProcess, photo: np.ndarray) -> None:
    sessions = {stage: open_there(transport, bundle, model_of(bundle, stage=stage)) for stage in PIPELINE_STAGES}
    plan, budget = bundle.manifest.plan, TimeBudget(runs=MIN_RUNS, seconds=1e-3)
    times = sessions[Stage.DEPTH].time_photo(sessions, plan, photo, Lens(0.5, 1.0), budget)
    assert len(times.depth) == len(times.render) == MIN_RUNS
    assert times.first > 0
    assert min(*times.depth, *times.render) > 0


def test_peak_memory_is_that_of_the_other_process(bundle: Bundle, transport: OwnProcess) -> None:
    block = bytearray(b"x") * (500 << 20)  # resident here when the process starts
    session = open_there(transport, bundle, model_of(bundle))
    session.run(golden_inputs(bundle))
    assert 30e6 < session.peak_memory < len(block)

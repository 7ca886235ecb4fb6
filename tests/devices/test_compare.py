"""Two benches: a verdict needs an interval that is clear of 1, and times of other machines are never judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dofkit.devices.compare import Change, compare, read_report, refuse_other_devices, refuse_other_machine
from dofkit.devices.figures import BenchFigures, BenchReport, StageFigures
from dofkit.devices.machine import Machine
from dofkit.devices.statistics import ratio_of_medians, spread
from dofkit.runtime_ref.backends.latency import RunTimes
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage

HERE = Machine(system="Linux 6.1", architecture="x86_64", processor="Some CPU", cores=2, memory_mb=8000)


def report(samples: list[float] | None, title: str = "ONNX fp32", machine: Machine = HERE) -> BenchReport:
    """A bench of one stage; without samples one that crashed."""
    row = BenchFigures(title=title, backend="onnxruntime", error="" if samples is not None else "it died")
    if samples is not None:
        times = RunTimes(first=1.0, steady=tuple(samples))
        row = row.model_copy(update={"stages": (StageFigures.of(Stage.DEPTH, 1.0, times, size=(4, 6)),)})
    return BenchReport(dofkit="0", bundle="b", digest="", taken="now", machine=machine, threads=2, results=(row,))


def noisy(median: float, seed: int, count: int = 40) -> list[float]:
    return (median * np.random.default_rng(seed).normal(1, 0.02, count)).tolist()


@pytest.mark.parametrize(
    ("factor", "change"), [(1.3, Change.SLOWER), (0.7, Change.FASTER), (1.0, Change.SAME), (1.05, Change.UNCLEAR)]
)
def test_a_change_of_the_median_is_judged_with_its_interval(factor: float, change: Change) -> None:
    (found,) = compare(report(noisy(10, 1)), report(noisy(10 * factor, 2)))
    assert found.change is change
    assert found.what == "depth 6×4"
    assert found.interval is not None
    assert found.interval.low <= found.interval.ratio <= found.interval.high
    assert found.is_regression == (change is Change.SLOWER)


def test_few_and_wild_samples_are_no_regression() -> None:
    (found,) = compare(report([5.0, 40, 8, 60, 7]), report([9.0, 80, 10, 50, 7]))
    assert found.change is Change.UNCLEAR


def test_a_pair_of_runs_is_no_ground_for_a_verdict() -> None:
    (found,) = compare(report([10.0] * 2), report([100.0] * 30))
    assert (found.change, found.interval) == (Change.UNCLEAR, None)
    assert found.note == "depth 6×4: no verdict on 2 runs, it takes 5"


def test_the_interval_covers_the_true_ratio_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(60):
        interval = ratio_of_medians(noisy(10, 2 * seed), noisy(11, 2 * seed + 1))
        covered += interval.low <= 1.1 <= interval.high
    assert covered >= 50


def test_the_same_samples_give_the_same_interval() -> None:
    assert ratio_of_medians(noisy(1, 3), noisy(1, 4)) == ratio_of_medians(noisy(1, 3), noisy(1, 4))


def test_the_spread_is_the_median_deviation_and_no_outlier_moves_it() -> None:
    assert spread([1, 2, 3, 4, 5]) == 1
    assert spread([1, 2, 3, 4, 5000]) == 1


def test_what_ran_before_and_crashes_now_is_a_regression_and_the_other_way_is_none() -> None:
    (newly,) = compare(report(noisy(1, 1)), report(None))
    assert (newly.change, newly.is_regression, newly.note) == (Change.BROKEN, True, "it died")
    (mended,) = compare(report(None), report(noisy(1, 1)))
    assert not mended.is_regression


def test_benches_without_a_common_row_are_refused() -> None:
    with pytest.raises(DofkitError, match="nothing in common: ONNX fp32 and ONNX w8"):
        compare(report(noisy(1, 1)), report(noisy(1, 1), "ONNX w8"))


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(report(noisy(1, 1)).as_json()))
    assert read_report(path) == report(noisy(1, 1))
    assert json.loads(path.read_text())["schema"] == "dofkit-bench-1"


def _other_schema(document: dict) -> None:
    document["schema"] = "dofkit-bench-99"


def _no_threads(document: dict) -> None:
    del document["threads"]


@pytest.mark.parametrize(("spoil", "words"), [(_other_schema, "'dofkit-bench-99', not"), (_no_threads, "threads: ")])
def test_what_is_no_report_of_this_schema_is_refused_in_one_line(
    tmp_path: Path, spoil: Callable[[dict], None], words: str
) -> None:
    document = report(noisy(1, 1)).as_json()
    spoil(document)
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DofkitError, match=words) as refusal:
        read_report(path)
    assert "\n" not in str(refusal.value)
    path.write_text("{no json")
    with pytest.raises(DofkitError, match="is no JSON"):
        read_report(path)


def test_a_baseline_of_another_machine_or_of_other_threads_is_refused() -> None:
    baseline, path = report(noisy(1, 1)), Path("old.json")
    refuse_other_machine(baseline, HERE.model_copy(update={"system": "Linux 6.12", "memory_mb": 1}), 2, path)
    with pytest.raises(DofkitError, match=r"old.json: .*processor Some CPU there, Other here; 2 threads there, 4"):
        refuse_other_machine(baseline, HERE.model_copy(update={"processor": "Other"}), 4, path)


def test_a_baseline_of_another_phone_is_refused() -> None:
    def on(phone: str) -> BenchReport:
        made = report(noisy(1, 1))
        machine = HERE.model_copy(update={"processor": phone})
        return made.model_copy(update={"results": (made.results[0].model_copy(update={"machine": machine}),)})

    refuse_other_devices(on("Pixel 9"), on("Pixel 9"), Path("old.json"))
    with pytest.raises(DofkitError, match="Pixel 9 there, Pixel 8 here"):
        refuse_other_devices(on("Pixel 9"), on("Pixel 8"), Path("old.json"))

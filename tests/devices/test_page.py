"""A bench's page stands for itself: every sample is a point, and nothing is fetched or run."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from dofkit.devices.figures import BenchFigures, BenchReport, MinuteFigures, StageFigures, SustainedFigures
from dofkit.devices.machine import Machine, MachineState
from dofkit.devices.page import write_page
from dofkit.devices.plots import line, strips
from dofkit.runtime_ref.backends.latency import RunTimes
from dofkit.runtime_ref.pipeline.stage import Stage

MACHINE = Machine(system="Linux 6.1", architecture="x86_64", processor="<CPU>", cores=2, memory_mb=8000)


def page(tmp_path: Path) -> str:
    stage = StageFigures.of(Stage.DEPTH, 1.0, RunTimes(first=9.0, steady=(2.0, 3.0, 4.0)), size=(4, 6))
    warm = tuple(
        MinuteFigures(seconds=60.0 * n, p50=10.0 + n, runs=9, state=MachineState(celsius=40.0 + n)) for n in (1, 2)
    )
    rows = (
        BenchFigures(title="ONNX fp32", stages=(stage,), sustained=SustainedFigures(minutes=warm)),
        BenchFigures(title="ONNX w8", error="the process died <here>"),
    )
    report = BenchReport(dofkit="1", bundle="b", digest="", taken="now", machine=MACHINE, threads=2, results=rows)
    write_page(tmp_path / "bench.html", report)
    return (tmp_path / "bench.html").read_text(encoding="utf-8")


def test_a_page_holds_figures_errors_and_every_sample(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert text.count("<circle") == 3 + 2 + 2, "three samples, two minutes, two temperatures"
    assert "the process died &lt;here&gt;" in text
    assert "&lt;CPU&gt;" in text


def test_a_page_runs_and_fetches_nothing(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "<script" not in text
    assert not re.search(r"(src|href)=", text)
    assert "default-src 'none'" in text


def test_equal_times_lie_at_one_place_and_doubled_ones_twice_as_far_on_a_logarithmic_scale() -> None:
    drawing = ElementTree.fromstring(strips({"a": ((2.0, 4.0, 8.0, 2.0), 4.0)}))
    x = [float(circle.attrib["cx"]) for circle in drawing.iter("circle")]
    assert x[0] == x[3]
    assert abs((x[1] - x[0]) - (x[2] - x[1])) <= 0.11


def test_a_plot_is_well_formed_for_a_single_sample_and_for_odd_titles() -> None:
    ElementTree.fromstring(strips({"<&>": ((1.0,), 1.0)}))
    ElementTree.fromstring(line([(1.0, 5.0)], "min", "ms"))


def test_the_slowdown_is_that_of_the_last_minute() -> None:
    minutes = tuple(MinuteFigures(seconds=1, p50=p50, runs=5) for p50 in (10.0, 30.0, 15.0))
    assert SustainedFigures(minutes=minutes).slowdown == 1.5

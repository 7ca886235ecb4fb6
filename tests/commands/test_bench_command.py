"""`dofkit bench` as CI jobs call it: comparisons, baselines, sizes of photos, and refusals before any work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from dofkit.commands._options import Duration, PhotoSize
from dofkit.commands.bench import command
from dofkit.devices import bench
from dofkit.devices.figures import BenchFigures, BenchReport, StageFigures
from dofkit.devices.machine import this_machine
from dofkit.runtime_ref.backends.latency import RunTimes
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def report(median: float, **changes: Any) -> BenchReport:
    """A bench of one stage on this machine."""
    times = RunTimes(first=1.0, steady=tuple(median * (1 + 0.001 * (n % 5)) for n in range(30)))
    row = BenchFigures(title="ONNX fp32", backend="onnxruntime", stages=(StageFigures.of(Stage.DEPTH, 1.0, times),))
    made = BenchReport(
        dofkit="0", bundle="b", digest="", taken="now", machine=this_machine(), threads=2, results=(row,)
    )
    return made.model_copy(update=changes)


def written(path: Path, made: BenchReport) -> Path:
    path.write_text(json.dumps(made.as_json()))
    return path


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    return written(tmp_path / "baseline.json", report(10.0))


def test_two_benches_are_compared_without_a_bundle(baseline: Path, tmp_path: Path) -> None:
    new = written(tmp_path / "new.json", report(13.0))
    (found,) = json.loads(run("--compare", baseline, new, "--json").stdout)["comparisons"]
    assert (found["what"], found["verdict"]) == ("depth", "slower")
    assert found["ratio"]["ratio"] == pytest.approx(1.3, abs=0.01)
    assert "slower" in run("--compare", baseline, new).stdout
    assert run("--compare", baseline, new, "--max-slowdown", "50%").exit_code == 0


@pytest.mark.parametrize(("median", "code"), [(10.0, 0), (13.0, 1), (7.0, 0)])
def test_a_regression_against_the_baseline_exits_with_1(
    baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, median: float, code: int
) -> None:
    monkeypatch.setattr(bench, "bench_bundle", lambda *_, **__: report(median))
    out = tmp_path / "out.json"
    assert run(tmp_path, "--baseline", baseline, "--out", out).exit_code == code
    (compared,) = json.loads(run(tmp_path, "--baseline", baseline, "--json").stdout)["comparisons"]
    assert (compared["verdict"] == "slower") == bool(code)
    assert json.loads(out.read_text())["schema"] == "dofkit-bench-1"


def test_a_baseline_of_another_machine_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = this_machine().model_copy(update={"processor": "another"})
    path = written(tmp_path / "baseline.json", report(10.0, machine=other))
    monkeypatch.setattr(bench, "bench_bundle", lambda *_, **__: pytest.fail("it was measured"))
    with pytest.raises(DofkitError, match="of another machine"):
        run(tmp_path, "--baseline", path)
    with pytest.raises(DofkitError, match="would replace it"):
        run(tmp_path, "--baseline", path, "--out", path)


def test_the_published_schema_is_that_of_what_is_written() -> None:
    schema = json.loads(run("--schema").stdout)
    assert schema["properties"]["schema"]["const"] == "dofkit-bench-1"
    assert set(schema["properties"]) == set(report(1.0).as_json())


def test_nothing_to_measure_is_said(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="name a bundle"):
        run()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2048", (2048, 1536)),
        ("12mp", (4000, 3000)),
        ("48MP", (8000, 6000)),
        ("1920x1080", (1920, 1080)),
        ("0", (0, 0)),
    ],
)
def test_a_photos_size_is_its_long_side_its_megapixels_or_both_sides(text: str, size: tuple[int, int]) -> None:
    assert PhotoSize().parsed(text) == size


@pytest.mark.parametrize("text", ["", "x", "-5", "12gp", "0mp", "1x0", "1x2x3", "99999999", "1e3", "999999mp"])
def test_what_is_no_photos_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no photo's size"):
        PhotoSize().parsed(text)


def test_a_time_needs_its_unit() -> None:
    assert Duration().convert("10m", None, None) == 600
    assert Duration().convert("1.5h", None, None) == 5400
    for text in ("10", "m", "-1s", "nans", "infm"):
        with pytest.raises(click.BadParameter, match="write it as 90s or 10m"):
            Duration().convert(text, None, None)

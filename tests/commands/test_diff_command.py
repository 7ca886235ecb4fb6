"""`dofkit diff` as pull requests use it: exit codes, limits in percent, Markdown, and latency measured in turn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dofkit.commands.diff import command
from dofkit.devices import bench as benches
from dofkit.devices.bench import BenchRequest
from dofkit.devices.figures import BenchFigures, StageFigures
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage

from ..runtime_ref.bundle.small_bundle import model, row, write_bundle


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two bundles; in the second depth's file is 3 % larger and its PSNR 0.5 dB lower."""
    old = write_bundle(tmp_path / "old.dofbundle", [model("depth")], [row("depth")])
    worse = row("depth", metrics={"psnr": 59.5})
    new = write_bundle(tmp_path / "new.dofbundle", [model("depth", content=b"x" * 103)], [worse])
    return old.root, new.root


def test_within_the_limits_it_exits_with_0_and_shows_what_changed(pair: tuple[Path, Path]) -> None:
    result = run(*pair)
    assert result.exit_code == 0
    assert "+3.0%" in result.stdout
    assert "60.0 → 59.5" in result.stdout
    assert "latency was not compared" in result.stdout
    assert result.stdout.splitlines()[-1] == "old.dofbundle → new.dofbundle: no regression"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--max-size-growth", "2.5%"], "ONNX fp32 depth: +3.0% bytes, the limit is +2.5%"),
        (["--max-psnr-drop", "0.4"], "ONNX fp32 depth: psnr 60.0 → 59.5 dB, the limit is −0.4 dB"),
    ],
)
def test_beyond_a_limit_it_exits_with_1_and_names_the_regression(
    pair: tuple[Path, Path], options: list[str], line: str
) -> None:
    result = run(*pair, *options)
    assert result.exit_code == 1
    assert f"REGRESSION: {line}" in result.stdout


def test_what_vanished_may_be_allowed(pair: tuple[Path, Path], tmp_path: Path) -> None:
    empty = write_bundle(tmp_path / "empty.dofbundle", [], []).root
    assert run(pair[0], empty).exit_code == 1
    assert run(pair[0], empty, "--allow-removed").exit_code == 0


def test_it_writes_markdown_and_json(pair: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(*pair, "--markdown", tmp_path / "diff.md", "--json")
    assert json.loads(result.stdout)["sizes"][0] == {"title": "ONNX fp32 depth", "old": 100, "new": 103}
    assert (tmp_path / "diff.md").read_text(encoding="utf-8").startswith("**old.dofbundle → new.dofbundle: ✅")


@pytest.mark.parametrize("value", ["5", "0.05", "-1%", "five%", "inf%", "nan%", "%"])
def test_a_share_without_its_sign_is_refused(pair: tuple[Path, Path], value: str) -> None:
    result = run(*pair, f"--max-size-growth={value}")
    assert result.exit_code == 2
    assert "write it as 5%" in result.stderr


def test_bad_bundles_and_goals_are_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="not a bundle"):
        run(pair[0], tmp_path / "nowhere")
    with pytest.raises(DofkitError, match="create it first"):
        run(*pair, "--markdown", tmp_path / "nowhere" / "diff.md")


def figures(request: BenchRequest, p50: float) -> BenchFigures:
    stage = StageFigures(stage=Stage.DEPTH, load=1, first=1, p50=p50, p90=p50, runs=5)
    return BenchFigures(title=request.title, stages=(stage,))


def test_latency_is_measured_in_turn_and_medians_are_compared(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = pair
    times = {old: [10.0, 50.0, 10.0], new: [12.0, 12.0, 90.0]}
    calls: list[Path] = []

    def bench(request: BenchRequest) -> BenchFigures:
        root = request.bundle.root
        calls.append(root)
        return figures(request, times[root][calls.count(root) - 1])

    monkeypatch.setattr(benches, "bench", bench)
    result = run(*pair, "--latency")
    assert calls == [old, new] * 3
    assert result.exit_code == 1
    assert "REGRESSION: ONNX fp32 depth: +20.0% latency, the limit is +10.0%" in result.stdout
    calls.clear()
    assert run(*pair, "--latency", "--max-slowdown", "25%").exit_code == 0


@pytest.mark.parametrize(("broken", "code"), [("new", 1), ("old", 0)])
def test_a_runtime_that_newly_crashes_is_a_regression(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, broken: str, code: int
) -> None:
    def bench(request: BenchRequest) -> BenchFigures:
        if request.bundle.root.name.startswith(broken):
            return BenchFigures(title=request.title, error="the runtime's process died with SIGSEGV")
        return figures(request, 10)

    monkeypatch.setattr(benches, "bench", bench)
    result = run(*pair, "--latency")
    assert result.exit_code == code
    assert "SIGSEGV" in result.stdout

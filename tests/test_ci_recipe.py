"""The recipe of docs/ci.md does what it says: its shell script is run as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from dofkit.runtime_ref.parity.tolerance_file import read_tolerances

RECIPE = (Path(__file__).parent.parent / "docs" / "ci.md").read_text(encoding="utf-8")


def fenced(language: str) -> str:
    """The recipe's only block in a language."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", RECIPE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    return blocks[0]


@pytest.fixture
def workspace(bundle_path: Path, tmp_path: Path) -> Path:
    """A checkout as the recipe expects it: gate.sh, `dofkit` on the PATH, a bundle of one small variant's checks."""
    (tmp_path / "gate.sh").write_text(fenced("bash"), encoding="utf-8")
    binaries = tmp_path / "bin"
    binaries.mkdir()
    # Only ONNX fp32 is checked: what is tested here is the script, not the runtimes.
    shim = f'''#!/bin/sh
[ "$1" = check ] && set -- "$@" --target onnx --precision fp32
exec "{sys.executable}" -m dofkit "$@"
'''
    (binaries / "dofkit").write_text(shim)
    (binaries / "dofkit").chmod(0o755)
    shutil.copytree(bundle_path, tmp_path / "new.dofbundle")
    return tmp_path


def gate(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{workspace / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "gate.sh", *arguments],
        cwd=workspace,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.e2e
def test_a_good_bundle_passes_the_gate_and_every_report_is_written(workspace: Path) -> None:
    done = gate(workspace, "new.dofbundle", "new.dofbundle")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in (workspace / "gate").iterdir()} == {
        "parity.xml", "summary.md", "report.html", "parity.json", "diff.md"
    }  # fmt: skip
    assert ET.parse(workspace / "gate" / "parity.xml").getroot().get("failures") == "0"
    summary = (workspace / "gate" / "summary.md").read_text(encoding="utf-8")
    assert "Parity: ✅ PASS" in summary
    assert "no regression" in summary


@pytest.mark.e2e
def test_a_teams_limits_that_are_broken_close_the_gate(workspace: Path) -> None:
    (workspace / "ci").mkdir()
    strict = '[[tolerance]]\nscope = "depth"\nmax_abs = 0.0\npsnr = 200.0\nreason = "bit for bit"\n'
    (workspace / "ci" / "tolerances.toml").write_text(strict)
    done = gate(workspace, "new.dofbundle")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "differs from PyTorch" in done.stderr
    assert ET.parse(workspace / "gate" / "parity.xml").getroot().get("failures") == "1"


def test_a_damaged_bundle_is_bad_input(workspace: Path) -> None:
    next((workspace / "new.dofbundle").rglob("lens_blur.fp32.onnx")).write_bytes(b"damaged")
    done = gate(workspace, "new.dofbundle")
    assert done.returncode == 2
    assert "lens_blur.fp32.onnx" in done.stderr


def test_without_a_bundle_it_says_how_it_is_used(workspace: Path) -> None:
    done = gate(workspace)
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_the_example_of_tolerances_is_valid(tmp_path: Path) -> None:
    (tmp_path / "team.toml").write_text(fenced("toml"), encoding="utf-8")
    assert len(read_tolerances(tmp_path / "team.toml").entries) == 2


def test_the_workflow_and_the_script_use_options_that_exist() -> None:
    from dofkit.commands import check, diff, export

    workflow = fenced("yaml")
    assert "bash gate.sh new.dofbundle" in workflow
    commands = (check.command, diff.command, export.command)
    known = {option for command in commands for parameter in command.params for option in parameter.opts}
    ours = re.sub(r"gh run(?:.*\\\n)*.*\n", "", workflow) + fenced("bash")  # gh's own options left out
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
    assert "--precision" in used
    assert "--max-psnr-drop" in used
    assert used <= known

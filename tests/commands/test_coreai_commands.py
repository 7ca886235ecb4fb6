"""`dofkit coreai` runs, shows and compares models; an export is the same in any process."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("coreai_torch")

from dofkit.runtime_ref.backends import NotRun, backends_for
from dofkit.runtime_ref.target import Target

from ..runtime_ref.coreai.programs import OneOperation, noise, save_text, scalar, sizes

CONVOLUTION = OneOperation(
    "conv2d", (noise(1, 3, 8, 8), noise(4, 3, 3, 3), sizes(1, 1), sizes(1, 1), scalar(1, np.uint32)), "1x4x6x6xf32"
)

SHAPE = "tensor<1x4x6x6xf32>"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_text(CONVOLUTION.text(), tmp_path / "conv.aimodel")


def test_show_tells_operations_inputs_and_what_wrote_it(cli: Callable, model: Path) -> None:
    shown = cli("coreai", "show", str(model))
    assert shown.exit_code == 0, shown.output
    assert "asset 2.0, coreai-core" in shown.stdout
    assert "conv2d" in shown.stdout
    facts = json.loads(cli("coreai", "show", str(model), "--json").stdout)
    assert facts["runs_on"] == "iOS 27, macOS 27"
    assert [entry["name"] for entry in facts["inputs"]] == ["x0", "x1"]
    assert facts["unknown_operations"] == []


def test_run_writes_what_the_operation_gives(cli: Callable, model: Path, tmp_path: Path) -> None:
    arguments = []
    for name, values in CONVOLUTION.inputs.items():
        np.save(tmp_path / f"{name}.npy", values)
        arguments += ["--input", f"{name}={tmp_path / name}.npy"]
    done = cli("coreai", "run", str(model), *arguments, "--out", f"y0={tmp_path / 'y.npy'}")
    assert done.exit_code == 0, done.output
    assert "not by Core AI" in done.stdout
    x, w = CONVOLUTION.inputs.values()
    wanted = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w)).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), wanted, atol=1e-5)


def test_diff_of_a_model_with_itself_agrees_and_with_another_names_the_operation(
    cli: Callable, model: Path, tmp_path: Path
) -> None:
    assert cli("coreai", "diff", str(model), str(model)).exit_code == 0
    text = CONVOLUTION.text().replace(
        "coreai.output %y", f"%z = coreai.sigmoid %y : ({SHAPE}) -> {SHAPE}\n coreai.output %z"
    )
    other = save_text(text, tmp_path / "other.aimodel")
    parted = cli("coreai", "diff", str(model), str(other))
    assert parted.exit_code == 1, parted.output
    assert "only in B: sigmoid" in parted.stdout


def test_what_is_no_model_is_refused_in_a_line(cli: Callable, tmp_path: Path) -> None:
    result = cli("coreai", "show", str(tmp_path / "gone.aimodel"))
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "is not a Core AI model" in result.stderr


@pytest.mark.parametrize("length", [3, 40, 0.5, -1])
def test_a_model_that_is_cut_short_is_refused_in_a_line(
    cli: Callable, model: Path, tmp_path: Path, length: float
) -> None:
    cut = tmp_path / "cut short.aimodel"
    shutil.copytree(model, cut)
    whole = (model / "main.mlirb").read_bytes()
    data = whole[: int(length * len(whole)) if isinstance(length, float) else length]
    (cut / "main.mlirb").write_bytes(data)
    for words in (r"is not what main\.hash says", "is cut short|is no MLIR bytecode"):
        result = cli("coreai", "show", str(cut))
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert re.search(words, result.stderr)
        (cut / "main.hash").write_bytes(hashlib.sha256(data).digest())  # who wrote it may have cut it, too


def test_a_folder_of_another_kind_is_said_to_be_no_core_ai_model(cli: Callable, tmp_path: Path) -> None:
    result = cli("coreai", "show", str(tmp_path))
    assert result.exit_code == 2
    assert "is not a Core AI model" in result.stderr


def test_without_its_packages_every_command_says_in_a_line_how_to_get_them(
    cli: Callable, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name.startswith("coreai") else real(name, *rest)
    )
    commands = [
        ("coreai", "show", str(model)),
        ("coreai", "run", str(model), "--random", "0"),
        ("export", "--target", "coreai", "--out", str(tmp_path / "b.dofbundle")),
    ]
    for arguments in commands:
        result = cli(*arguments)
        assert result.exit_code == 2, result.output
        assert result.stderr.count("\n") == 1
        assert "pip install 'dofkit[coreai]'" in result.stderr
    for one in backends_for(Target.COREAI):
        assert isinstance(one.available(), NotRun)


def test_export_to_all_targets_leaves_core_ai_out_with_a_word_where_it_cannot_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dofkit.commands.export import _every_target

    assert _every_target() == tuple(Target)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None)
    assert _every_target() == (Target.COREML, Target.TFLITE, Target.ONNX)
    assert "Core AI is left out" in capsys.readouterr().err


def test_doctor_names_a_version_that_does_harm(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "later betas" not in cli("doctor", "--json").stdout
    monkeypatch.setattr("dofkit.commands.doctor._version", lambda name: "0.4.0" if name == "coreai-torch" else "1")
    assert "its models are refused by later betas of iOS 27" in cli("doctor", "--json").stdout


@pytest.mark.e2e
def test_two_processes_export_the_same_bytes_without_paths_and_prove_them(weights: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "one" / "a.dofbundle", tmp_path / "another" / "a.dofbundle"]
    for number, folder in enumerate(folders):
        folder.parent.mkdir()
        arguments = [
            "export",
            "--target",
            "coreai",
            "--stage",
            "guided_upsampling",
            "--tile",
            "96",
            "--depth-size",
            "64",
        ]
        arguments += ["--precision", "w8", "--weights", str(weights), "--out", str(folder)]
        done = subprocess.run(
            [sys.executable, "-m", "dofkit", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder.parent,
            env={**os.environ, "PYTHONHASHSEED": str(number)},
        )
        assert done.returncode == 0, done.stdout + done.stderr
    one, another = ({p.relative_to(f): p.read_bytes() for p in sorted(f.rglob("*")) if p.is_file()} for f in folders)
    assert one.keys() == another.keys()
    assert [str(name) for name, data in one.items() if data != another[name]] == []
    models = [data for name, data in one.items() if name.suffix in (".mlirb", ".json")]
    for words in (str(tmp_path), "site-packages", str(Path(__file__).parents[2])):
        assert not any(words.encode() in data for data in models), words
    rows = json.loads((folders[0] / "parity.json").read_text())["results"]
    proven = {(row["precision"], row["scope"]) for row in rows if row["verdict"] == "PASS"}
    assert proven == {("w8", "steps"), ("w8", "guided_upsampling"), ("w8", "guided_upsampling, evaluator")}

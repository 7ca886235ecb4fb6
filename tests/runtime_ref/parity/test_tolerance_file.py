"""A team's tolerances: later entries win, one metric at a time; a mistake is one line that names entry and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.tolerance_file import TeamTolerances, read_tolerances
from dofkit.runtime_ref.parity.tolerances import Tolerance
from dofkit.runtime_ref.parity.verdict import RowKey
from dofkit.runtime_ref.target import Precision, Target

key = RowKey.by_default
DEFAULT = Tolerance(1e-4, 55.0, "the table's reason", {"ssim": 0.9})


def read(folder: Path, text: str) -> TeamTolerances:
    path = folder / "team.toml"
    path.write_text(text, encoding="utf-8")
    return read_tolerances(path)


def test_an_entry_replaces_only_the_limits_that_it_sets(tmp_path: Path) -> None:
    team = read(tmp_path, '[[tolerance]]\npsnr = 30\nedge_psnr = 25.5\nreason = "night mode"\n')
    limits = team.apply(key("depth", Target.ONNX, Precision.W8A8), DEFAULT)
    assert limits == Tolerance(1e-4, 30.0, "team.toml: night mode", {"ssim": 0.9, "edge_psnr": 25.5})


@pytest.mark.parametrize(
    ("row", "psnr"),
    [
        (key("depth", Target.TFLITE, Precision.W8A8), 30.0),
        (RowKey("depth", Target.TFLITE, Precision.W8A8, "litert-reference", "cpu"), 30.0),
        (key("depth", Target.ONNX, Precision.W8A8), 55.0),
        (key("depth", Target.TFLITE, Precision.W8), 55.0),
        (key("pipeline", Target.TFLITE, Precision.W8A8), 55.0),
    ],
)
def test_an_entry_holds_where_its_target_precision_and_scope_do(tmp_path: Path, row: RowKey, psnr: float) -> None:
    text = '[[tolerance]]\ntarget = "tflite"\nprecision = "w8a8"\nscope = "depth"\npsnr = 30.0\nreason = "r"\n'
    assert read(tmp_path, text).apply(row, DEFAULT).psnr == psnr


def test_an_entry_may_be_for_one_backend(tmp_path: Path) -> None:
    team = read(tmp_path, '[[tolerance]]\nbackend = "litert-fp16"\npsnr = 30.0\nreason = "r"\n')
    fp16 = RowKey("depth", Target.TFLITE, Precision.FP32, "litert-fp16", "cpu")
    assert team.apply(fp16, DEFAULT).psnr == 30
    assert team.apply(key("depth", Target.TFLITE, Precision.FP32), DEFAULT) is DEFAULT


def test_pipelines_of_every_tile_size_are_pipelines(tmp_path: Path) -> None:
    team = read(tmp_path, '[[tolerance]]\nscope = "pipeline"\npsnr = 30.0\nreason = "r"\n')
    assert team.apply(key("pipeline", Target.COREML, Precision.FP16, tile=256), DEFAULT).psnr == 30


def test_later_entries_win_and_reasons_that_decide_nothing_are_not_quoted(tmp_path: Path) -> None:
    text = """
    [[tolerance]]
    psnr = 30.0
    reason = "everybody"
    [[tolerance]]
    max_abs = 0.5
    reason = "also"
    [[tolerance]]
    precision = "fp16"
    psnr = 40.0
    reason = "half floats"
    """
    team = read(tmp_path, text)
    half = team.apply(key("depth", Target.ONNX, Precision.FP16), DEFAULT)
    assert (half.psnr, half.max_abs, half.reason) == (40.0, 0.5, "team.toml: also; half floats")
    assert team.apply(key("depth", Target.ONNX, Precision.FP32), DEFAULT).psnr == 30.0


def test_what_no_entry_covers_keeps_the_tables_limits_and_reason(tmp_path: Path) -> None:
    team = read(tmp_path, '[[tolerance]]\ntarget = "coreml"\npsnr = 1\nreason = "r"\n')
    assert team.apply(key("depth", Target.ONNX, Precision.FP16), DEFAULT) is DEFAULT


def test_the_limits_take_effect(tmp_path: Path) -> None:
    team = read(tmp_path, '[[tolerance]]\ncolour_shift = 0.01\nssim = 0.95\nreason = "r"\n')
    limits = team.apply(key("pipeline", Target.ONNX, Precision.FP16), Tolerance(None, None, ""))
    values = {"max_abs": 0.0, "psnr": 99.0}
    assert limits.violations(values | {"colour_shift": 0.009, "ssim": 0.96}) == []
    assert len(limits.violations(values | {"colour_shift": 0.011, "ssim": 0.94})) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[tolerance]]\npsnr = 30\nreason = "r"\n[[tolerance]]\npnsr = 1\nreason = "r"\n', "entry 2: pnsr: no such"),
        ('[[tolerance]]\nzzz = 30\nreason = "r"\n', "entry 1: zzz: no such key; there are target"),
        ("[[tolerance]]\npsnr = 30\n", "entry 1: reason: is missing"),
        ('[[tolerance]]\npsnr = 30\nreason = "  "\n', "entry 1: reason"),
        ('[[tolerance]]\nreason = "r"\n', "entry 1: it limits nothing; give at least one of max_abs"),
        ('[[tolerance]]\npsnr = "high"\nreason = "r"\n', "entry 1: psnr: Input should be a valid number"),
        ('[[tolerance]]\npsnr = true\nreason = "r"\n', "entry 1: psnr"),
        ('[[tolerance]]\npsnr = nan\nreason = "r"\n', "entry 1: psnr"),
        ('[[tolerance]]\nssim = 95\nreason = "r"\n', "entry 1: ssim: Input should be less than or equal to 1"),
        ('[[tolerance]]\ntarget = "tf"\npsnr = 1\nreason = "r"\n', "'coreml', 'tflite', 'onnx' or 'coreai'"),
        ('[[tolerance]]\nscope = "dept"\npsnr = 1\nreason = "r"\n', "'depth', 'lens_blur'"),
        ('[[tolerance]]\nbackend = "litert-fp"\npsnr = 1\nreason = "r"\n', "did you mean litert-fp16?"),
        ('[tolerance]\npsnr = 1\nreason = "r"\n', "two brackets"),
        ("tolerance = [1]\n", "entry 1: Input should be a valid dictionary"),
        ('[[tolerances]]\npsnr = 1\nreason = "r"\n', "'tolerances' means nothing here"),
        ("# nothing\n", "holds no entry"),
        ("[[tolerance]]\npsnr 30\n", "line 2"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_the_file_the_entry_and_the_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DofkitError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert words in message
    assert message.startswith(str(tmp_path / "team.toml"))
    assert "\n" not in message


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe[[tolerance]]")
    with pytest.raises(DofkitError, match="UTF-8"):
        read_tolerances(tmp_path / "x.toml")
    with pytest.raises(DofkitError, match="no such file"):
        read_tolerances(tmp_path / "nowhere.toml")

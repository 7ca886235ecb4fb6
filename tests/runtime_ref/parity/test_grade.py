"""Grades: every border is where the table says, the worst figure decides, and stages have none."""

from __future__ import annotations

import pytest

from dofkit.runtime_ref.parity.grade import GRADES, Grade, grade
from dofkit.runtime_ref.parity.verdict import ParityResult, RowKey, Verdict
from dofkit.runtime_ref.target import Precision, Target

BEST = {"psnr": 60.0, "ssim": 0.999, "focus_psnr": 60.0, "edge_psnr": 55.0, "highlight_psnr": 58.0}


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({}, Grade.LOSSLESS),
        ({"psnr": 45.0, "ssim": 0.99}, Grade.LOSSLESS),
        ({"psnr": 44.9}, Grade.GOOD),
        ({"ssim": 0.9899}, Grade.GOOD),
        ({"edge_psnr": 39.9}, Grade.GOOD),
        ({"psnr": 33.0, "ssim": 0.95}, Grade.GOOD),
        ({"psnr": 32.9}, Grade.VISIBLE),
        ({"highlight_psnr": 27.9}, Grade.VISIBLE),
        ({"ssim": 0.88}, Grade.VISIBLE),
        ({"ssim": 0.879}, Grade.POOR),
        ({"psnr": 25.8}, Grade.POOR),
        ({"focus_psnr": 10.0}, Grade.POOR),
    ],
)
def test_the_worst_figure_decides(figures: dict[str, float], expected: Grade) -> None:
    assert grade(BEST | figures) is expected


def test_not_a_number_is_never_good() -> None:
    assert grade(BEST | {"psnr": float("nan")}) is Grade.POOR


def test_regions_that_no_picture_has_do_not_count() -> None:
    assert grade({"psnr": 60.0, "ssim": 0.999}) is Grade.LOSSLESS


def test_only_whole_pictures_have_a_grade() -> None:
    key = RowKey.by_default("depth", Target.ONNX, Precision.W4)
    assert ParityResult(key, Verdict.PASS, BEST).grade is None
    assert ParityResult(RowKey.by_default("pipeline", Target.ONNX, Precision.W4), Verdict.PASS, BEST).grade is not None
    assert grade({}) is None
    assert grade({"psnr": 60.0}) is None


def test_grades_fall_with_their_limits_and_each_has_a_reason() -> None:
    for first, second in zip(GRADES.values(), list(GRADES.values())[1:], strict=False):
        assert first.psnr > second.psnr
        assert first.ssim > second.ssim
        assert first.regions > second.regions
    assert all(least.reason for least in GRADES.values())
    assert [*GRADES, Grade.POOR] == list(Grade)


@pytest.mark.parametrize("grade", Grade)
def test_a_grade_is_at_least_itself_and_all_below(grade: Grade) -> None:
    assert [other for other in Grade if grade.at_least(other)] == list(Grade)[list(Grade).index(grade) :]

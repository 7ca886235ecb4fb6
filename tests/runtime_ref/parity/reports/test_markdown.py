"""Markdown for pull requests: failures first, and text that cannot become markup, table cells or mentions."""

from __future__ import annotations

import re

import pytest

from dofkit.runtime_ref.parity.reports.markdown import escape, parity_markdown
from dofkit.runtime_ref.parity.tolerances import Tolerance
from dofkit.runtime_ref.parity.verdict import ParityReport, ParityResult, RowKey, Verdict
from dofkit.runtime_ref.target import Precision, Target


def row(verdict: Verdict, scope: str = "depth", **more: object) -> ParityResult:
    return ParityResult(RowKey.by_default(scope, Target.ONNX, Precision.FP32), verdict, **more)  # pyright: ignore[reportArgumentType]


def cells(line: str) -> list[str]:
    """The cells of a table's line, as a reader splits them: at pipes that are not escaped."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_first_line_says_the_verdict_and_the_counts() -> None:
    report = ParityReport((row(Verdict.PASS), row(Verdict.PASS), row(Verdict.NOT_RUN, reason="no Mac")))
    assert parity_markdown(report).splitlines()[0] == "**Parity: ⚠️ NOT RUN** (2 PASS, 1 NOT RUN)"


def test_failures_lead_the_table_and_every_line_has_as_many_cells() -> None:
    limits = Tolerance(1e-4, None, "summation", {"colour_shift": 0.01})
    report = ParityReport(
        (
            row(Verdict.PASS, metrics={"max_abs": 1.2e-6, "psnr": 138.04}, limits=limits),
            row(Verdict.NOT_RUN, "a | b\nc", reason="none"),
            row(Verdict.FAIL, "pipeline", metrics={"psnr": 12.0}, reason="far"),
        )
    )
    lines = [line for line in parity_markdown(report).splitlines() if line.startswith("|")]
    assert {len(cells(line)) for line in lines} == {7}
    assert [cells(line)[3].split(maxsplit=1)[1] for line in lines[2:]] == ["FAIL", "NOT RUN", "PASS"]
    assert cells(lines[-1]) == [
        "ONNX", "fp32", "depth", "✅ PASS", "1.2e-06", "138.0", "max abs ≤ 0.0001, colour shift ≤ 0.01"
    ]  # fmt: skip


def test_what_the_eye_sees_stands_beside_the_verdict_where_a_pipeline_was_compared() -> None:
    figures = {"psnr": 60.0, "ssim": 0.999}
    report = ParityReport((row(Verdict.PASS, metrics=figures), row(Verdict.PASS, "pipeline", metrics=figures)))
    header, _, *lines = [cells(line) for line in parity_markdown(report).splitlines() if line.startswith("|")]
    assert header[:5] == ["target", "precision", "what", "verdict", "grade"]
    assert [line[4] for line in lines] == ["", "visually lossless"]
    assert {len(line) for line in lines} == {len(header)}


def test_reasons_stand_once_with_their_causes() -> None:
    failed = {"reason": "far away", "causes": ("BGR", "x/255")}
    text = parity_markdown(ParityReport((row(Verdict.FAIL, **failed), row(Verdict.FAIL, "pipeline", **failed))))
    assert text.count("far away") == 1
    assert text.count("likely cause: BGR") == text.count("likely cause: x/255") == 1
    assert "ONNX fp32 depth, ONNX fp32 pipeline" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("two\r\nlines", "two lines"),
        ("<img src=x>", r"\<img src=x\>"),
        ("[a](b) `c` *d*", r"\[a\](b) \`c\` \*d\*"),
        ("a\\|b", r"a\\\|b"),
        ("ask @someone, see #12", "ask @\u2060someone, see #\u206012"),
    ],
)
def test_text_shows_as_it_is(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_nothing_compared_says_so() -> None:
    assert "nothing was compared" in parity_markdown(ParityReport(()))

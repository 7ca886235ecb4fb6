"""Rows of a report, as tests look at them."""

from __future__ import annotations

from dofkit.runtime_ref.parity.verdict import ParityReport, ParityResult
from dofkit.runtime_ref.target import Precision, Target


def rows_of(report: ParityReport, target: Target, precision: Precision) -> dict[str, ParityResult]:
    """The rows of a variant, by their titles."""
    return {r.title: r for r in report.results if (r.target, r.precision) == (target, precision)}

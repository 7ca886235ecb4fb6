"""How verdicts' figures are written for people, the same in tables, reports and CI: titles, digits, promises."""

from __future__ import annotations

from ..metrics import ERRORS
from ..tolerances import Tolerance
from ..verdict import ParityReport, ParityResult, Verdict

METRIC_TITLES = {
    "max_abs": "max abs",
    "psnr": "PSNR dB",
    "ssim": "SSIM",
    "focus_psnr": "in focus dB",
    "edge_psnr": "depth edges dB",
    "highlight_psnr": "highlights dB",
    "colour_shift": "colour shift",
    "evaluator_psnr": "evaluator dB",
    "input_effect": "input effect",
}
_SMALL = (*ERRORS, "input_effect")


def format_metric(name: str, value: float | None) -> str:
    """A metric's value for a table; empty when it was not measured."""
    if value is None:
        return ""
    return f"{value:.1e}" if name in _SMALL else f"{value:.4f}" if name == "ssim" else f"{value:.1f}"


def measured_titles(parity: ParityReport) -> dict[str, str]:
    """The metrics that any comparison measured, and their titles."""
    return {
        name: title for name, title in METRIC_TITLES.items() if any(name in result.metrics for result in parity.results)
    }


def has_grades(parity: ParityReport) -> bool:
    """Whether any comparison has a grade of what the eye sees."""
    return any(result.grade is not None for result in parity.results)


def promise(limits: Tolerance | None) -> str:
    """What was promised, in a line; empty where nothing was."""
    if limits is None:
        return ""
    named = {"max_abs": limits.max_abs, "psnr": limits.psnr, **limits.others}
    return ", ".join(_limit(name, value) for name, value in named.items() if value is not None)


def _limit(name: str, value: float) -> str:
    title = METRIC_TITLES.get(name, name)
    plain, decibels = title.removesuffix(" dB"), " dB" if title.endswith(" dB") else ""
    return f"{plain} {'≤' if name in ERRORS else '≥'} {value:g}{decibels}"


def worst_first(results: tuple[ParityResult, ...]) -> list[ParityResult]:
    """Failures first, then what did not run, then what passed; the order is kept within each."""
    order = (Verdict.FAIL, Verdict.NOT_RUN, Verdict.PASS)
    return sorted(results, key=lambda result: order.index(result.verdict))


def counted(parity: ParityReport) -> str:
    """How many comparisons passed, failed, did not run: "7 PASS, 1 FAIL"."""
    counts = {verdict: sum(result.verdict is verdict for result in parity.results) for verdict in Verdict}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) or "nothing was compared"

"""Verdicts in Markdown, for job summaries and pull requests (GitHub's and GitLab's dialects)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ..bundle_diff import BundleDiff, LatencyChange, ParityChange, SizeChange
from ..verdict import ParityReport, ParityResult, Verdict
from .figures import counted, format_metric, has_grades, measured_titles, promise, worst_first

SIGNS = {Verdict.PASS: "✅", Verdict.FAIL: "❌", Verdict.NOT_RUN: "⚠️"}


def parity_markdown(report: ParityReport) -> str:
    """The verdict, a table of all comparisons (failures first), and the reasons with their likely causes."""
    titles = measured_titles(report)
    graded = has_grades(report)
    header = ["target", "precision", "what", "verdict", *(["grade"] if graded else []), *titles.values(), "promise"]
    rows = [_row(result, list(titles), graded) for result in worst_first(report.results)]
    lines = [f"**Parity: {SIGNS[report.verdict]} {report.verdict}** ({counted(report)})", ""]
    if rows:
        lines += [*table(header, rows, numbers=range(4 + graded, 4 + graded + len(titles))), ""]
    if reasons := _reasons(report.results):
        lines += [*reasons, ""]
    return "\n".join(lines).rstrip() + "\n"


def _row(result: ParityResult, metrics: Sequence[str], graded: bool) -> list[str]:
    values = [format_metric(name, result.metrics.get(name)) for name in metrics]
    verdict = f"{SIGNS[result.verdict]} {result.verdict}"
    return [
        result.target.title,
        result.precision.value,
        escape(result.title),
        verdict,
        *([str(result.grade or "")] if graded else []),
        *values,
        escape(promise(result.limits)),
    ]


def _reasons(results: tuple[ParityResult, ...]) -> list[str]:
    """A list item for each distinct reason, with the comparisons that it is for and the likely causes below it."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for result in worst_first(results):
        if result.reason or result.causes:
            found.setdefault((result.reason, result.causes), []).append(result.key.full_title)
    lines = []
    for (reason, causes), where in found.items():
        lines.append(f"- **{escape(', '.join(dict.fromkeys(where)))}**: {escape(reason)}")
        lines += [f"  - likely cause: {escape(cause)}" for cause in causes]
    return lines


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> list[str]:
    """The lines of a table; cells are Markdown already.

    Args:
        header: a title for each column.
        rows: as many cells each.
        numbers: columns that are aligned to the right.
    """
    right = set(numbers)
    rule = ["---:" if column in right else "---" for column in range(len(header))]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def escape(text: str) -> str:
    """Text that shows as it is: no markup, no table cells, no mentions, all in one line."""
    plain = " ".join(text.split())
    marked = re.sub(r"([\\`*_{}\[\]<>|~&])", r"\\\1", plain)
    # An invisible joiner: "@name" would notify a person, "#12" would link an issue.
    return re.sub(r"([@#])(?=\w)", "\\1\N{WORD JOINER}", marked)


def diff_markdown(diff: BundleDiff) -> str:
    """Two bundles' differences: regressions first, then tables of what changed; long lists are folded."""
    sign = SIGNS[Verdict.FAIL if diff.regressions else Verdict.PASS]
    lines = [f"**{escape(diff.old)} → {escape(diff.new)}: {sign} {regressions_text(diff)}**"]
    listed = [*diff.regressions, *(f"added: {t}" for t in diff.added), *(f"removed: {t}" for t in diff.removed)]
    lines += ["", *(f"- {escape(text)}" for text in listed)] if listed else []
    lines += ["", *table(["size", "old kB", "new kB", "change"], map(_size_cells, diff.sizes), numbers=(1, 2, 3))]
    lines += [
        "",
        *table(["parity", "old", "new", "PSNR dB", "change"], map(_parity_cells, diff.parity), numbers=(3, 4)),
    ]
    if diff.latency:
        rows = map(_latency_cells, diff.latency)
        lines += ["", *table(["latency", "old ms", "new ms", "change"], rows, numbers=(1, 2, 3))]
    operations = [[escape(change.title), escape(counts_text(change.counts))] for change in diff.operations]
    lines += _folded("operations", ["model", "operations"], operations)
    facts = [[escape(fact.where), escape(fact.old or "–"), escape(fact.new or "–")] for fact in diff.facts]
    lines += _folded("declarations", ["what", "old", "new"], facts)
    lines += ["", *(f"Note: {escape(note)}." for note in diff.notes)]
    return "\n".join(lines) + "\n"


def _folded(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table that opens on a click; nothing when it is empty."""
    if not rows:
        return []
    return ["", f"<details><summary>{len(rows)} changed {title}</summary>", "", *table(header, rows), "", "</details>"]


def _size_cells(change: SizeChange) -> list[str]:
    sizes = ["–" if size is None else f"{size / 1e3:.1f}" for size in (change.old, change.new)]
    return [escape(change.title), *sizes, relative_text(change.old, change.new)]


def _parity_cells(change: ParityChange) -> list[str]:
    verdicts = [f"{SIGNS[row.verdict]} {row.verdict}" if row else "–" for row in (change.old, change.new)]
    psnr = [row.metrics.get("psnr") if row else None for row in (change.old, change.new)]
    figures = " → ".join(format_metric("psnr", value) or "–" for value in psnr)
    step = f"{psnr[1] - psnr[0]:+.1f}" if psnr[0] is not None and psnr[1] is not None else ""
    return [escape(change.title), *verdicts, figures, step]


def _latency_cells(change: LatencyChange) -> list[str]:
    times = ["–" if value is None else f"{value:.1f}" for value in (change.old, change.new)]
    return [escape(change.title), *times, relative_text(change.old, change.new)]


def relative_text(old: float | None, new: float | None) -> str:
    """By how much a figure changed: "+3.1%"; empty where one is missing."""
    if old is None or new is None or not old:
        return ""
    return "=" if old == new else f"{new / old - 1:+.1%}"


def regressions_text(diff: BundleDiff) -> str:
    """How many regressions there are."""
    count = len(diff.regressions)
    return f"{count} regression{'s' if count > 1 else ''}" if count else "no regression"


def counts_text(counts: Mapping[str, int]) -> str:
    """Operations that a model has more or fewer: "+2 CONV_2D, -1 PAD"."""
    return ", ".join(f"{count:+d} {name}" for name, count in counts.items())

"""Parity as JUnit XML, which CI servers read: a suite for each file format and precision, a test case for each row.

Written to the strictest of the schemas in use (that of Jenkins' xUnit plugin): there a test case has no properties, so
that its metrics are properties of its suite, named ROW.METRIC, and stand in the case's output.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from ...pipeline.aspects import size_text
from ..verdict import ParityReport, ParityResult, Verdict
from .figures import promise

# What XML 1.0 cannot hold, not even escaped: most control characters, halves of surrogate pairs, two non-characters.
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(report: ParityReport, bundle_name: str) -> bytes:
    """The report as a JUnit file, UTF-8: FAIL is a failure with its reason and causes, NOT RUN is skipped.

    Args:
        report: what was compared.
        bundle_name: names the whole.
    """
    root = ET.Element("testsuites", {"name": _clean(f"dofkit check {bundle_name}"), **_counts(report.results)})
    suites: dict[str, list[ParityResult]] = {}
    for result in report.results:
        suites.setdefault(f"{result.target}.{result.precision}", []).append(result)
    for name, results in suites.items():
        _add_suite(root, name, results)
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _counts(results: Sequence[ParityResult]) -> dict[str, str]:
    failures = sum(result.verdict is Verdict.FAIL for result in results)
    return {"tests": str(len(results)), "failures": str(failures), "errors": "0"}


def _add_suite(root: ET.Element, name: str, results: Sequence[ParityResult]) -> None:
    skipped = sum(result.verdict is Verdict.NOT_RUN for result in results)
    suite = ET.SubElement(root, "testsuite", {"name": name, **_counts(results), "skipped": str(skipped)})
    measured = [(f"{result.title}.{name}", value) for result in results for name, value in _properties(result)]
    if measured:
        properties = ET.SubElement(suite, "properties")
        for title, value in measured:
            ET.SubElement(properties, "property", name=_clean(title), value=_clean(value))
    for result in results:
        _add_case(suite, name, result)


def _properties(result: ParityResult) -> list[tuple[str, str]]:
    """Figures, and what computed them, of a row that was measured."""
    if not result.metrics:
        return []
    figures = [(name, f"{value:.6g}") for name, value in result.metrics.items()]
    key = {"grade": result.grade, "backend": result.key.backend, "device": result.key.device, "tile": result.key.tile}
    key["depth_size"] = result.key.depth_size and size_text(result.key.depth_size)
    return [*figures, *((name, str(value)) for name, value in key.items() if value)]


def _add_case(suite: ET.Element, classname: str, result: ParityResult) -> None:
    case = ET.SubElement(suite, "testcase", classname=classname, name=_clean(result.title))
    if result.verdict is Verdict.FAIL:
        failure = ET.SubElement(case, "failure", message=_clean(result.reason), type="parity")
        failure.text = _clean("\n".join([result.reason, *(f"likely cause: {cause}" for cause in result.causes)]))
    elif result.verdict is Verdict.NOT_RUN:
        ET.SubElement(case, "skipped", message=_clean(result.reason))
    if lines := _output(result):
        ET.SubElement(case, "system-out").text = _clean("\n".join(lines))


def _output(result: ParityResult) -> list[str]:
    """What was measured, promised, and by whom it was computed."""
    lines = [f"{name} = {value}" for name, value in _properties(result)]
    if result.limits is not None:
        lines.append(f"promised: {promise(result.limits) or 'nothing'} ({result.limits.reason})")
    return [*lines, f"computed by {result.runtime}"] if result.runtime else lines


def _clean(text: str) -> str:
    """The text with what XML cannot hold written as Python escapes it."""
    return _IMPOSSIBLE.sub(lambda found: found.group().encode("unicode_escape").decode(), text)

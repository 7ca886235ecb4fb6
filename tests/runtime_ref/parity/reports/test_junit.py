"""JUnit XML: what CI servers' readers find in it, valid for the strictest schema, whatever a runtime's error says."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dofkit.runtime_ref.parity.reports.junit import junit_xml
from dofkit.runtime_ref.parity.tolerances import Tolerance
from dofkit.runtime_ref.parity.verdict import ParityReport, ParityResult, RowKey, Verdict
from dofkit.runtime_ref.target import Precision, Target

# The structure that Jenkins' xUnit plugin validates against (its junit-10 schema), the strictest reader: for each
# element its children, the attributes that it must have, and those that it may have besides.
SCHEMA: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": ({"testsuite"}, set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
    ),
    "testcase": (
        {"skipped", "error", "failure", "system-out", "system-err"},
        {"name"},
        {"time", "classname", "group"},
    ),
    "properties": ({"property"}, set(), set()),
    "property": (set(), {"name", "value"}, set()),
    "failure": (set(), set(), {"type", "message"}),
    "skipped": (set(), set(), {"type", "message"}),
    "system-out": (set(), set(), set()),
}
WITH_TEXT = {"failure", "skipped", "system-out"}

PASSED = ParityResult(
    RowKey.by_default("depth", Target.ONNX, Precision.FP32),
    Verdict.PASS,
    {"max_abs": 1.25e-6, "psnr": 138.0},
    runtime="ONNX Runtime 1.31",
    limits=Tolerance(1e-4, None, "order of summation"),
)
FAILED = ParityResult(
    RowKey.by_default("pipeline", Target.ONNX, Precision.FP32, tile=256),
    Verdict.FAIL,
    {"psnr": 12.0, "ssim": 0.4},
    "astronaut: PSNR 12.0 < 80 dB",
    causes=("channels are swapped (BGR)", "first part: conv_3"),
)
RUNTIME_ROW = RowKey("runtime", Target.COREML, Precision.FP16, backend="", device="")
SKIPPED = ParityResult(RUNTIME_ROW, Verdict.NOT_RUN, reason="no Mac", decisive=False)
REPORT = ParityReport((PASSED, FAILED, SKIPPED))


def row_of(scope: str) -> RowKey:
    return RowKey.by_default(scope, Target.ONNX, Precision.FP32)


def assert_valid(element: ET.Element) -> None:
    children, required, optional = SCHEMA[element.tag]
    assert required <= set(element.keys()) <= required | optional, element.tag
    assert element.tag in WITH_TEXT or not (element.text or "").strip()
    for child in element:
        assert child.tag in children, f"{child.tag} in {element.tag}"
        assert_valid(child)


def case(root: ET.Element, name: str) -> ET.Element:
    found = root.find(f".//testcase[@name='{name}']")
    assert found is not None
    return found


def test_it_is_valid_for_the_strictest_reader() -> None:
    root = ET.fromstring(junit_xml(REPORT, "portrait"))
    assert root.tag == "testsuites"
    assert_valid(root)


def test_every_row_is_a_test_case_of_its_target_and_precision() -> None:
    root = ET.fromstring(junit_xml(REPORT, "portrait"))
    cases = [(c.get("classname"), c.get("name"), [child.tag for child in c]) for c in root.iter("testcase")]
    assert cases == [
        ("onnx.fp32", "depth", ["system-out"]),
        ("onnx.fp32", "pipeline, tiles of 256", ["failure", "system-out"]),
        ("coreml.fp16", "runtime", ["skipped"]),
    ]


def test_counts_are_those_of_the_rows() -> None:
    root = ET.fromstring(junit_xml(REPORT, "portrait"))
    assert [root.get(name) for name in ("name", "tests", "failures", "errors")] == [
        "dofkit check portrait",
        "3",
        "1",
        "0",
    ]
    suites = [[s.get(name) for name in ("name", "tests", "failures", "skipped")] for s in root]
    assert suites == [["onnx.fp32", "2", "1", "0"], ["coreml.fp16", "1", "0", "1"]]


def test_a_failure_says_why_and_what_the_likely_causes_are() -> None:
    failure = case(ET.fromstring(junit_xml(REPORT, "portrait")), "pipeline, tiles of 256").find("failure")
    assert failure is not None
    assert failure.get("message") == FAILED.reason
    assert failure.text is not None
    assert all(text in failure.text for text in (FAILED.reason, *FAILED.causes))


def test_metrics_are_properties_and_stand_in_the_output() -> None:
    root = ET.fromstring(junit_xml(REPORT, "portrait"))
    properties = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert properties == {
        "depth.max_abs": "1.25e-06",
        "depth.psnr": "138",
        "depth.backend": "onnxruntime",
        "depth.device": "cpu",
        "pipeline, tiles of 256.psnr": "12",
        "pipeline, tiles of 256.ssim": "0.4",
        "pipeline, tiles of 256.grade": "poor",
        "pipeline, tiles of 256.backend": "onnxruntime",
        "pipeline, tiles of 256.device": "cpu",
        "pipeline, tiles of 256.tile": "256",
    }
    output = case(root, "depth").findtext("system-out", "")
    assert all(text in output for text in ("max_abs = 1.25e-06", "max abs ≤ 0.0001", "ONNX Runtime 1.31"))


@pytest.mark.parametrize("text", ["\x1b[31mred\x1b[0m", "a\0b", "\ud800", "\ufffe", "]]>", "<b>&\"'", "a\nb\tc\r"])
def test_hostile_text_stays_text(text: str) -> None:
    result = ParityResult(row_of(f"scope {text}"), Verdict.FAIL, {}, text, causes=(text,))
    root = ET.fromstring(junit_xml(ParityReport((result,)), text))
    assert_valid(root)
    assert root.find(".//failure") is not None


@given(st.text(st.characters(codec=None)))
def test_any_text_gives_a_well_formed_file(text: str) -> None:
    result = ParityResult(row_of(text), Verdict.NOT_RUN, {}, text, runtime=text)
    assert ET.fromstring(junit_xml(ParityReport((result,)), text)).find(".//skipped") is not None


def test_what_xml_cannot_hold_is_shown_escaped() -> None:
    result = ParityResult(row_of("depth"), Verdict.FAIL, {}, "died: \x1b\0 é")
    failure = ET.fromstring(junit_xml(ParityReport((result,)), "x")).find(".//failure")
    assert failure is not None
    assert failure.get("message") == r"died: \x1b\x00 é"


def test_nothing_compared_is_an_empty_file_of_no_tests() -> None:
    root = ET.fromstring(junit_xml(ParityReport(()), "x"))
    assert (root.get("tests"), len(root)) == ("0", 0)

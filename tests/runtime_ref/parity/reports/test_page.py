"""What people read: figures that do not mislead, pictures that keep every pixel, and text that cannot become markup."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dofkit.runtime_ref.bundle import GoldenCase, Manifest
from dofkit.runtime_ref.bundle.golden import GoldenArrays
from dofkit.runtime_ref.parity.reports import pictures as report_pictures
from dofkit.runtime_ref.parity.reports.figures import format_metric, promise, worst_first
from dofkit.runtime_ref.parity.reports.page import write_report
from dofkit.runtime_ref.parity.reports.pictures import CaseView, case_views
from dofkit.runtime_ref.parity.tolerances import Tolerance
from dofkit.runtime_ref.parity.verdict import ParityReport, ParityResult, Rendering, RowKey, Verdict
from dofkit.runtime_ref.pipeline.plan import PipelinePlan, TileSpec
from dofkit.runtime_ref.target import Precision, Target

RUNTIME_ROW = RowKey("runtime", Target.COREML, Precision.FP16, backend="", device="")


def arrays(height: int = 40, width: int = 60) -> GoldenArrays:
    rng = np.random.default_rng(height)
    return GoldenArrays(
        {
            "pipeline.photo": rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
            "pipeline.rendered": rng.random((height, width, 3), dtype=np.float32),
            "depth.disparity": np.linspace(0, 1, 128 * 128, dtype=np.float32).reshape(1, 1, 128, 128),
        }
    )


def rendering(case: str, output: np.ndarray, precision: Precision = Precision.FP32) -> Rendering:
    return Rendering(RowKey.by_default("pipeline", Target.ONNX, precision), case, output)


def pipeline_row(
    verdict: Verdict, precision: Precision = Precision.FP32, reason: str = "", failing: tuple[str, ...] = ()
) -> ParityResult:
    key = RowKey.by_default("pipeline", Target.ONNX, precision)
    return ParityResult(key, verdict, {"psnr": 30.0, "ssim": 0.96}, reason, failing=failing)


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def views(
    cases: Mapping[str, GoldenArrays], *renderings: Rendering, rows: tuple[ParityResult, ...] = ()
) -> list[CaseView]:
    return case_views(cases, {}, ParityReport(rows, renderings))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("max_abs", 1.23e-5, "1.2e-05"),
        ("colour_shift", 0.0123, "1.2e-02"),
        ("psnr", 61.27, "61.3"),
        ("ssim", 0.99996, "1.0000"),
        ("psnr", None, ""),
    ],
)
def test_metrics_are_printed_with_their_own_precision(name: str, value: float | None, text: str) -> None:
    assert format_metric(name, value) == text


def test_a_promise_names_every_limit_with_its_direction() -> None:
    limits = Tolerance(1e-4, 55.0, "why", {"ssim": 0.95, "colour_shift": 0.01, "edge_psnr": 30.0})
    assert promise(limits) == "max abs ≤ 0.0001, PSNR ≥ 55 dB, SSIM ≥ 0.95, colour shift ≤ 0.01, depth edges ≥ 30 dB"
    assert promise(None) == ""


def test_failures_come_first_and_the_order_is_kept_within() -> None:
    order = [Verdict.PASS, Verdict.FAIL, Verdict.NOT_RUN, Verdict.FAIL, Verdict.PASS]
    rows = tuple(dataclasses.replace(pipeline_row(v), runtime=str(i)) for i, v in enumerate(order))
    assert [row.runtime for row in worst_first(rows)] == ["1", "3", "2", "0", "4"]


def test_pictures_keep_every_pixel_and_the_difference_is_amplified_before_it_is_rounded() -> None:
    case = arrays()
    output = case.rendered + np.float32(1 / 1024)
    view = views({"a": case}, rendering("a", output))[0]
    assert np.array_equal(decoded(view.input), case.photo)
    assert np.array_equal(decoded(view.reference), np.rint(case.rendered * 255))
    variant = view.variants[0]
    assert np.array_equal(decoded(variant.output), np.rint(np.clip(output, 0, 1) * 255))
    assert variant.difference is not None
    assert np.array_equal(decoded(variant.difference), np.full((40, 60, 3), 16))  # 64/1024 of white
    assert "max abs 9.8e-04" in variant.figures


def test_a_large_picture_is_cut_to_where_outputs_differ_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_pictures, "_SIDES", (64,))
    case = arrays(200, 300)
    output = case.rendered.copy()
    output[150:158, 240:250] = 1 - output[150:158, 240:250]
    view = views({"a": case}, rendering("a", output))[0]
    window = view.window
    assert (window.height, window.width, window.whole) == (64, 64, (200, 300))
    assert window.top <= 150 <= 158 <= window.top + 64
    assert window.left <= 240 <= 250 <= window.left + 64
    inside = np.s_[window.top : window.top + 64, window.left : window.left + 64]
    assert np.array_equal(decoded(view.reference), np.rint(case.rendered * 255)[inside])
    assert np.array_equal(decoded(view.variants[0].output), np.rint(output * 255)[inside])
    assert "where outputs differ most" in window.text
    assert view.overview is not None
    assert decoded(view.overview).shape == (200, 300, 3)


def test_a_picture_that_fits_is_shown_whole() -> None:
    view = views({"a": arrays()})[0]
    assert view.window.is_whole
    assert view.window.text == "60×40 pixels"
    assert view.overview is None


def test_many_variants_make_windows_smaller_so_that_the_page_stays_small() -> None:
    case = arrays(700, 700)
    assert views({"a": case}, rendering("a", case.rendered))[0].window.width == 700
    many = [rendering("a", case.rendered) for _ in range(20)]
    assert report_pictures._side({"a"}, many) == 480
    assert report_pictures._side({"another"}, many) == 1280


def test_a_large_input_is_jpeg_and_what_is_compared_never_is() -> None:
    case = arrays(16, 700)
    view = views({"a": case}, rendering("a", case.rendered))[0]
    assert view.input.startswith("data:image/jpeg")
    assert view.reference.startswith("data:image/png")
    assert view.variants[0].output.startswith("data:image/png")


def test_not_a_number_is_white_in_the_difference_and_named() -> None:
    case = arrays()
    output = case.rendered.copy()
    output[3, 4] = np.nan
    variant = views({"a": case}, rendering("a", output))[0].variants[0]
    assert variant.difference is not None
    assert decoded(variant.difference)[3, 4].tolist() == [255, 255, 255]
    assert decoded(variant.difference).sum() == 3 * 255
    assert "NaN" in variant.figures


def test_an_output_of_another_size_is_shown_without_a_difference() -> None:
    variant = views({"a": arrays()}, rendering("a", np.zeros((10, 10, 3), np.float32)))[0].variants[0]
    assert variant.difference is None
    assert "size" in variant.figures


def test_failing_cases_and_variants_come_first() -> None:
    cases = {"one": arrays(), "two": arrays(), "three": arrays()}
    rows = (
        pipeline_row(Verdict.PASS),
        pipeline_row(Verdict.FAIL, Precision.W8, "two: PSNR 30.0 < 44 dB; two: max abs 1 > 0.1", ("two",)),
    )
    shown = [rendering(name, cases[name].rendered, p) for name in cases for p in (Precision.FP32, Precision.W8)]
    found = views(cases, *shown, rows=rows)
    assert [(view.name, view.verdict) for view in found] == [
        ("two", Verdict.FAIL),
        ("one", Verdict.PASS),
        ("three", Verdict.PASS),
    ]
    assert [variant.precision for variant in found[0].variants] == ["w8", "fp32"]


def test_a_failure_that_names_no_case_is_every_cases() -> None:
    row = pipeline_row(Verdict.FAIL, reason="weights of kernels.0: differ")
    case = arrays()
    assert views({"a": case}, rendering("a", case.rendered), rows=(row,))[0].verdict is Verdict.FAIL


@pytest.fixture
def page(tmp_path: Path) -> str:
    """A page of one golden case and one that is not the bundle's, with markup wherever text comes from elsewhere."""
    golden = GoldenCase(name="own", path="golden/0.x", kind="photo", focus=0.5, aperture=1, note="a <i>note</i>")
    spec = TileSpec(tile=96, halo=20, align=2)
    manifest = Manifest(
        name="<small>",
        conventions={},
        plan=PipelinePlan(depth_height=128, depth_width=128, lens_blur=spec, guided_upsampling=spec),
        networks={},
        models=(),
        golden=(golden,),
        tools={"dofkit": "1"},
        files={},
    )
    limits = Tolerance(1e-4, None, "only the order of summation differs")
    failed = ParityResult(
        RowKey.by_default("lens_blur", Target.TFLITE, Precision.W8A8),
        Verdict.FAIL,
        {"max_abs": 0.5, "psnr": 12.0, "colour_shift": 0.02},
        "<b>far</b>",
        limits=limits,
        causes=("swapped <channels>", "first part: conv_3"),
    )
    absent = ParityResult(RUNTIME_ROW, Verdict.NOT_RUN, reason="no Mac", decisive=False)
    cases = {"own": arrays(), "hers <2>": arrays(30, 30)}
    shown = tuple(rendering(name, 1 - case.rendered) for name, case in cases.items())
    rows = (pipeline_row(Verdict.PASS), absent, failed)
    write_report(tmp_path / "report.html", manifest, ParityReport(rows, shown), cases, {"hers <2>": "from <us>"})
    return (tmp_path / "report.html").read_text(encoding="utf-8")


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str, *classes: str) -> list[dict[str, str | None]]:
        return [a for t, a in self.found if t == tag and set(classes) <= set((a.get("class") or "").split())]


def test_the_page_shows_verdicts_reasons_causes_and_promises(page: str) -> None:
    text = Elements(page).text
    for words in ("FAIL", "PASS", "NOT RUN", "no Mac", "max abs ≤ 0.0001", "only the order of summation differs"):
        assert words in text
    assert "likely cause: swapped <channels>" in text
    assert "likely cause: first part: conv_3" in text
    assert text.index("<b>far</b>") < text.index("no Mac")


def test_text_cannot_become_markup(page: str) -> None:
    elements = Elements(page)
    assert not elements.of("b")
    assert not elements.of("i")
    assert not elements.of("small")
    for text in ("<b>far</b>", "a <i>note</i>", "hers <2>", "from <us>", "<small>"):
        assert text in elements.text


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    assert not re.search(r"https?:|src=\"(?!data:)|url\(|@import|<link", page)
    assert "default-src 'none'; img-src data:" in page


def test_every_picture_is_decoded_when_it_is_looked_at_and_has_a_title(page: str) -> None:
    pictures = Elements(page).of("img")
    assert len(pictures) == 2 * (3 + 2)
    assert all(picture["loading"] == "lazy" and picture["alt"] for picture in pictures)


def test_without_javascript_all_pictures_show_and_no_dead_control(page: str) -> None:
    elements = Elements(page)
    assert all(
        "hidden" in attributes for tag in ("fieldset", "button", "span") for attributes in elements.of(tag, "live")
    )
    assert len(elements.of("button", "hold", "live")) == 2
    assert not any(
        "hidden" in attributes for _, attributes in elements.found if "live" not in (attributes.get("class") or "")
    )


def test_each_value_that_occurs_can_be_hidden_by_its_checkbox(page: str) -> None:
    elements = Elements(page)
    boxes = {a["id"] for a in elements.of("input") if a["type"] == "checkbox"}
    used = {
        f"{kind}-{a[f'data-{kind}']}"
        for _, a in elements.found
        for kind in ("target", "precision", "verdict")
        if f"data-{kind}" in a
    }
    assert used <= boxes
    for box in boxes:
        kind, _, value = str(box).partition("-")
        assert f'body:has(#{box}:not(:checked)) [data-{kind}="{value}"] {{ display: none; }}' in page

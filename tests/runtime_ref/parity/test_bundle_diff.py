"""What changed between two bundles, and what of it is a regression: every kind is planted and found, nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.bundle_diff import BundleDiff, LatencyChange, Limits, diff_bundles
from dofkit.runtime_ref.parity.reports.markdown import diff_markdown

from ..bundle.small_bundle import model, row, write_bundle

STAGES = ("depth", "lens_blur")


def models(**more: Any) -> list[dict[str, Any]]:
    return [model(stage, **more) for stage in STAGES]


def rows(**more: Any) -> list[dict[str, Any]]:
    return [row(stage, **more) for stage in (*STAGES, "pipeline")]


@pytest.fixture
def old(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "old.dofbundle", models(), rows())


def against(old: Bundle, limits: Limits | None = None, **more: Any) -> BundleDiff:
    given = {"models": models(), "rows": rows(), **more}
    new = write_bundle(old.root.with_name("new.dofbundle"), **given)
    return diff_bundles(old, new, limits or Limits())


def test_equal_bundles_have_no_differences(old: Bundle) -> None:
    diff = against(old)
    assert (diff.added, diff.removed, diff.operations, diff.facts, diff.regressions) == ((), (), (), (), ())
    assert all(size.old == size.new for size in diff.sizes)
    assert diff.notes == ("latency was not compared; --latency measures both bundles on this machine",)


def test_sizes_are_those_of_the_files_and_of_the_variant(old: Bundle) -> None:
    diff = against(old, models=[model("depth", content=b"x" * 103), model("lens_blur")])
    sizes = {size.title: (size.old, size.new) for size in diff.sizes}
    assert sizes == {"ONNX fp32 depth": (100, 103), "ONNX fp32 lens_blur": (100, 100), "ONNX fp32, all": (200, 203)}
    assert diff.regressions == ()


def test_growth_beyond_the_limit_is_a_regression_and_shrinking_never_is(old: Bundle) -> None:
    diff = against(old, models=[model("depth", content=b"x" * 106), model("lens_blur", content=b"x" * 50)])
    assert diff.regressions == ("ONNX fp32 depth: +6.0% bytes, the limit is +5.0%",)
    grown = [model("depth", content=b"x" * 106), model("lens_blur")]
    assert against(old, Limits(size_growth=0.06), models=grown).regressions == ()


def test_a_package_is_as_large_as_all_its_files_and_models_that_share_one_count_once(tmp_path: Path) -> None:
    def packaged(size: int) -> list[dict[str, Any]]:
        inside = {"weights.bin": b"x" * size, "deep/model.mlmodel": b"y" * 10}
        shared = {"target": "coreml", "path": "models/coreml/all.mlpackage", "package": inside}
        return [model(stage, function=stage, **shared) for stage in STAGES]

    first = write_bundle(tmp_path / "a.dofbundle", packaged(90), [])
    diff = diff_bundles(first, write_bundle(tmp_path / "b.dofbundle", packaged(190), []), Limits())
    sizes = {size.title: (size.old, size.new) for size in diff.sizes}
    assert sizes == {"Core ML fp32 depth + lens_blur": (100, 200), "Core ML fp32, all": (100, 200)}


def test_depth_sizes_are_told_apart(old: Bundle) -> None:
    def sized(content: bytes, operators: dict[str, int]) -> list[dict[str, Any]]:
        lying = model(
            "depth", path="models/onnx/depth_64x96.fp32", depth_size=(64, 96), content=content, operators=operators
        )
        return [*models(), lying]

    compared = {"backend": "onnxruntime", "device": "cpu"}
    recorded = [row("depth", stage="depth", **compared)]
    recorded += [row("depth of 64x96", stage="depth", depth_size=[64, 96], **compared)]
    first = write_bundle(old.root.with_name("a.dofbundle"), sized(b"x" * 50, {"Conv": 2}), recorded)
    second = write_bundle(old.root.with_name("b.dofbundle"), sized(b"x" * 51, {"Conv": 3}), recorded[:1])
    diff = diff_bundles(first, second, Limits())
    sizes = {size.title: (size.old, size.new) for size in diff.sizes}
    assert sizes["ONNX fp32 depth"] == (100, 100)
    assert sizes["ONNX fp32 depth of 64x96"] == (50, 51)
    assert [change.title for change in diff.operations] == ["ONNX fp32 depth of 64x96"]
    assert diff.regressions == ("ONNX fp32 depth of 64x96: was compared before (PASS) and is not now",)
    assert diff_bundles(old, first, Limits()).added == ("ONNX fp32 depth of 64x96",)


def test_operations_are_counted_up_and_down(old: Bundle) -> None:
    diff = against(old, models=[model("depth", operators={"Conv": 12, "Resize": 1}), model("lens_blur")])
    assert [(change.title, dict(change.counts)) for change in diff.operations] == [
        ("ONNX fp32 depth", {"Conv": 2, "Pad": -3, "Resize": 1})
    ]
    assert diff.regressions == ()


def test_declarations_that_changed_are_named_with_both_values(old: Bundle) -> None:
    diff = against(
        old,
        models=[model("depth", high=255.0), model("lens_blur")],
        depth_size=(256, 192),
        conventions={"disparity": "1 is farthest"},
        tools={"torch": "2.9"},
    )
    facts = {fact.where: (fact.old, fact.new) for fact in diff.facts}
    assert facts["plan depth_height"] == ("128", "256")
    assert facts["plan depth_width"] == ("128", "192")
    assert facts["convention disparity"] == ("1 is nearest", "1 is farthest")
    assert facts["made with torch"] == (None, "2.9")
    assert "[0, 1]" in str(facts["ONNX fp32 depth: input image"][0])
    assert "[0, 255]" in str(facts["ONNX fp32 depth: input image"][1])
    assert len(facts) == 6  # the output, too


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"metrics": {"psnr": 58.9}}, "ONNX fp32 depth: psnr 60.0 → 58.9 dB, the limit is −1 dB"),
        ({"metrics": {"psnr": 60, "edge_psnr": 20}}, "ONNX fp32 depth: edge_psnr 50.0 → 20.0 dB, the limit is −1 dB"),
        ({"metrics": {"psnr": float("nan")}}, "ONNX fp32 depth: psnr 60.0 → nan dB, the limit is −1 dB"),
        ({"verdict": "FAIL"}, "ONNX fp32 depth: FAIL, was PASS"),
        ({"verdict": "NOT RUN"}, "ONNX fp32 depth: NOT RUN, was PASS"),
    ],
)
def test_worse_parity_is_a_regression(old: Bundle, changed: dict[str, Any], found: str) -> None:
    assert against(old, rows=[row("depth", **changed), *rows()[1:]]).regressions == (found,)


@pytest.mark.parametrize("changed", [{"metrics": {"psnr": 59.1}}, {"metrics": {"psnr": 90.0}}, {"causes": ["x"]}])
def test_parity_within_the_limit_is_none(old: Bundle, changed: dict[str, Any]) -> None:
    assert against(old, rows=[row("depth", **changed), *rows()[1:]]).regressions == ()


def test_beyond_100_db_a_drop_is_only_another_order_of_summation(tmp_path: Path) -> None:
    first = write_bundle(tmp_path / "a.dofbundle", models(), [row("depth", metrics={"psnr": 147.0})])
    second = write_bundle(tmp_path / "b.dofbundle", models(), [row("depth", metrics={"psnr": 121.0})])
    assert diff_bundles(first, second, Limits()).regressions == ()


def test_what_failed_before_and_fails_now_is_not_new(tmp_path: Path) -> None:
    first = write_bundle(tmp_path / "a.dofbundle", models(), [row("depth", verdict="FAIL")])
    assert against(first, rows=[row("depth", verdict="FAIL")]).regressions == ()


def test_what_vanishes_is_a_regression_unless_it_may(old: Bundle) -> None:
    gone: Any = {"models": [model("depth")], "rows": [row("depth")]}
    diff = against(old, **gone)
    assert diff.removed == ("ONNX fp32 lens_blur",)
    assert diff.regressions == (
        "ONNX fp32 lens_blur is gone",
        "ONNX fp32 lens_blur: was compared before (PASS) and is not now",
        "ONNX fp32 pipeline: was compared before (PASS) and is not now",
    )
    assert against(old, Limits(removal=True), **gone).regressions == ()


def test_a_variant_that_vanishes_is_one_regression_and_a_new_one_is_none(old: Bundle) -> None:
    other: Any = {"models": models(target="tflite"), "rows": rows(target="tflite")}
    diff = against(old, **other)
    assert (diff.added, diff.removed) == (("TFLite (LiteRT) fp32",), ("ONNX fp32",))
    assert diff.regressions == ("ONNX fp32 is gone",)


def test_a_new_variant_that_fails_is_a_regression(old: Bundle) -> None:
    both: Any = {
        "models": [*models(), *models(target="tflite")],
        "rows": [*rows(), row("depth", "FAIL", target="tflite")],
    }
    assert against(old, **both).regressions == ("TFLite (LiteRT) fp32 depth: FAIL",)


def test_other_golden_pictures_are_noted(old: Bundle) -> None:
    assert not any("golden" in note for note in against(old).notes)
    assert any("golden" in note for note in against(old, photo=np.ones((8, 8, 3), np.uint8)).notes)


def test_a_slower_stage_is_a_regression_and_one_that_broke_too(old: Bundle) -> None:
    new = write_bundle(old.root.with_name("new.dofbundle"), models(), rows())
    latency = [
        LatencyChange("ONNX fp32 depth", 10.0, 10.9),
        LatencyChange("ONNX fp32 lens_blur", 10.0, 11.1),
        LatencyChange("TFLite fp32", None, None, "died with SIGSEGV", broken=True),
    ]
    diff = diff_bundles(old, new, Limits(), latency)
    assert diff.regressions == (
        "ONNX fp32 lens_blur: +11.0% latency, the limit is +10.0%",
        "TFLite fp32: ran before and does not run now",
    )
    assert diff.notes == ("TFLite fp32: latency was not compared: died with SIGSEGV",)


def test_recorded_parity_is_validated(tmp_path: Path) -> None:
    first = write_bundle(tmp_path / "a.dofbundle", models(), rows())
    broken = write_bundle(tmp_path / "b.dofbundle", models(), [row("depth") | {"verdict": "FINE"}])
    with pytest.raises(DofkitError, match=r"parity.json: results.0.verdict: .*export the bundle again") as caught:
        diff_bundles(first, broken, Limits())
    assert "\n" not in str(caught.value)


def test_it_is_json_data(old: Bundle) -> None:
    document = json.loads(json.dumps(against(old, rows=[row("depth", verdict="FAIL")]).as_json()))
    assert document["parity"][0]["new"]["verdict"] == "FAIL"
    assert document["regressions"]
    assert document["latency"] is None


def test_markdown_leads_with_the_regressions_and_escapes(old: Bundle) -> None:
    diff = against(
        old,
        models=[model("depth", content=b"x" * 200, operators={"A|B": 1}), model("lens_blur")],
        tools={"torch": "2|9"},
    )
    text = diff_markdown(diff)
    lines = text.splitlines()
    assert lines[0] == "**old.dofbundle → new.dofbundle: ❌ 2 regressions**"
    assert lines[2] == "- ONNX fp32 depth: +100.0% bytes, the limit is +5.0%"
    assert "| ONNX fp32 depth | 0.1 | 0.2 | +100.0% |" in lines
    assert "| ONNX fp32 pipeline | ✅ PASS | ✅ PASS | 60.0 → 60.0 | +0.0 |" in lines
    assert r"+1 A\|B, -10 Conv, -3 Pad" in text
    assert r"| made with torch | – | 2\|9 |" in lines
    assert text.count("<details>") == text.count("</details>") == 2


def test_markdown_says_so_when_nothing_got_worse(old: Bundle) -> None:
    assert diff_markdown(against(old)).startswith("**old.dofbundle → new.dofbundle: ✅ no regression**")


def test_rows_of_an_older_version_are_those_of_the_same_title(tmp_path: Path) -> None:
    # Before 0.2 a row had its title only ("scope"); now it has a key as well.
    key = {"backend": "onnxruntime", "device": "cpu", "tile": None}
    new_rows = [row(stage, stage=stage, **key) for stage in STAGES] + [row("pipeline", stage=None, **key)]
    new_rows[0]["metrics"] = {"psnr": 50.0}
    before = write_bundle(tmp_path / "a.dofbundle", models(), rows())
    after = write_bundle(tmp_path / "b.dofbundle", models(), new_rows)
    for old, new in ((before, after), (after, before)):
        diff = diff_bundles(old, new, Limits())
        assert [change.title for change in diff.parity] == [f"ONNX fp32 {scope}" for scope in (*STAGES, "pipeline")]
        assert all(change.old is not None and change.new is not None for change in diff.parity)
    assert diff_bundles(before, after, Limits()).regressions == (
        "ONNX fp32 depth: psnr 60.0 → 50.0 dB, the limit is −1 dB",
    )
    assert diff_bundles(after, before, Limits()).regressions == ()


def test_rows_are_the_same_by_their_key_whatever_they_are_called(tmp_path: Path) -> None:
    key = {"stage": "depth", "backend": "onnx-reference", "device": "cpu"}
    before = write_bundle(tmp_path / "a.dofbundle", models(), [row("depth, onnx reference", **key)])
    after = write_bundle(tmp_path / "b.dofbundle", models(), [row("depth by the letter", **key)])
    (change,) = diff_bundles(before, after, Limits()).parity
    assert change.old is not None
    assert change.new is not None
    assert change.title == "ONNX fp32 depth by the letter"

"""Bundles of before are refused; the published schema; what a manifest says of networks and their stored weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dofkit.runtime_ref.bundle import MANIFEST, SCHEMA, Bundle, LayerEntry, manifest_schema
from dofkit.runtime_ref.bundle.manifest import canonical, digest_of
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.rules import HostRules

from .small_bundle import model, write_bundle


@pytest.fixture
def new(tmp_path: Path) -> Bundle:
    """A bundle of today, depth input 192 × 256."""
    return write_bundle(tmp_path / "b.dofbundle", [model("depth")], [], depth_size=(192, 256))


def rewritten(bundle: Bundle, **changes: Any) -> Path:
    """The bundle with other words in its manifest, sealed again."""
    document = {**json.loads((bundle.root / MANIFEST).read_bytes()), **changes}
    (bundle.root / MANIFEST).write_bytes(canonical({**document, "digest": digest_of(document)}))
    return bundle.root


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_bundle_of_other_steps_is_refused_in_one_line_that_says_export_again(new: Bundle, version: int) -> None:
    with pytest.raises(DofkitError, match=rf"schema_version {version}.*export again") as refusal:
        Bundle.open(rewritten(new, schema_version=version))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("changes", [{"schema_version": 5}, {"schema_version": "4"}, {"schema_version": None}])
def test_what_no_schema_says_is_refused_in_one_line(new: Bundle, changes: dict[str, Any]) -> None:
    with pytest.raises(DofkitError, match="export again") as refusal:
        Bundle.open(rewritten(new, **changes))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", HostRules.model_fields)
def test_a_bundle_whose_steps_have_another_constant_is_refused_with_its_name(new: Bundle, name: str) -> None:
    rules = new.manifest.rules.model_dump()
    with pytest.raises(DofkitError, match=f"{name}: this dofkit has other rules"):
        Bundle.open(rewritten(new, rules={**rules, name: rules[name] + 1}))


def test_the_published_schema_is_what_the_reader_says_and_takes_what_it_takes(new: Bundle) -> None:
    published = (Path(__file__).parents[3] / "docs" / SCHEMA).read_bytes()
    assert published == manifest_schema()
    validator = pytest.importorskip("jsonschema").Draft202012Validator(json.loads(published))
    document = json.loads((new.root / MANIFEST).read_bytes())
    validator.validate(document)
    for broken in (
        {**document, "more": 1},
        {**document, "schema_version": 3},
        {**document, "rules": {}},
        {**document, "rules": {**document["rules"], "thin_pitch": 3}},
    ):
        assert not validator.is_valid(broken)


def test_height_and_width_survive_the_file(new: Bundle) -> None:
    assert Bundle.open(new.root).manifest.plan.depth_shape == (192, 256)


def test_layers_that_nobody_compared_are_counted_and_are_no_problem(new: Bundle) -> None:
    (entry,) = new.manifest.models
    compared = LayerEntry(name="a", parameters=1, stored="fp32", difference=0.0)
    assert entry.model_copy(update={"layers": (compared,)}).uncompared_weights == ""
    doubtful = LayerEntry(name="norm", parameters=1, stored="", difference=0.0, uncompared="folded")
    both = entry.model_copy(update={"layers": (compared, doubtful)})
    assert both.uncompared_weights == "stored weights not compared in 1 layer (norm): folded"
    assert both.weight_problems == ()
    assert both.compressed == ()

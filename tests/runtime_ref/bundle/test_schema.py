"""Bundles of before are read; what a manifest says of networks and their stored weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dofkit.runtime_ref.bundle import MANIFEST, Bundle, LayerEntry
from dofkit.runtime_ref.bundle.manifest import canonical, digest_of
from dofkit.runtime_ref.errors import DofkitError

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


def plan_of_before(bundle: Bundle, size: int) -> dict[str, Any]:
    """The plan as schema 2 wrote it."""
    plan = bundle.manifest.plan.model_dump(mode="json")
    others = {name: value for name, value in plan.items() if name not in ("depth_height", "depth_width")}
    return {**others, "depth_size": size}


def test_a_bundle_of_schema_2_is_read_its_depth_input_a_square(new: Bundle) -> None:
    old = Bundle.open(rewritten(new, schema_version=2, plan=plan_of_before(new, 384)))
    assert old.manifest.plan.depth_shape == (384, 384)
    assert old.manifest.plan.lens_blur == new.manifest.plan.lens_blur
    assert old.manifest.models == new.manifest.models


@pytest.mark.parametrize(("version", "size"), [(1, 384), (4, 384), (2, 0), (2, "wide"), (3, 384)])
def test_what_no_schema_says_is_refused_in_one_line_that_says_export_again(
    new: Bundle, version: int, size: object
) -> None:
    plan: Any = plan_of_before(new, 384) | {"depth_size": size}
    with pytest.raises(DofkitError, match="export again") as refusal:
        Bundle.open(rewritten(new, schema_version=version, plan=plan))
    assert "\n" not in str(refusal.value)


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

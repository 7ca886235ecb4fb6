"""Every check computes the steps around the networks again, and names the first that is not the bundle's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dofkit.export.step_pictures import step_pictures, write_step_cases
from dofkit.runtime_ref.backends import InProcess
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.check import CheckOptions, Verdict, run_parity
from dofkit.runtime_ref.parity.host_steps import step_differences

from ..bundle.small_bundle import model, write_bundle

CASE = "closed"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With one step case: two levels, everything copied."""
    plain = write_bundle(tmp_path_factory.mktemp("steps") / "b.dofbundle", [model("depth")], [])
    plan = plain.manifest.plan
    pictures = [picture for picture in step_pictures(plan) if picture.name == CASE]
    return with_steps(plain, write_step_cases(plain.root, pictures, plan))


@pytest.fixture
def bundle(written: Bundle, tmp_path: Path) -> Bundle:
    """A copy that a test may change."""
    return Bundle(shutil.copytree(written.root, tmp_path / "b.dofbundle"), written.manifest)


def with_steps(bundle: Bundle, steps: Any) -> Bundle:
    return Bundle(bundle.root, bundle.manifest.model_copy(update={"steps": steps}))


def changed(bundle: Bundle, **changes: Any) -> Bundle:
    """The bundle with other words in its case."""
    (case,) = bundle.manifest.steps
    return with_steps(bundle, (case.model_copy(update=changes),))


def test_the_steps_of_a_bundle_are_computed_again_without_a_difference(bundle: Bundle) -> None:
    assert step_differences(bundle) == []


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("level_0", 3),
        ("depth_input", 4),
        ("disparity_blur", 9),
        ("defocus_0", 10),
        ("copied_1", 11),
        ("tile_blur.image", 11),
        ("rendered", 12),
    ],
)
def test_a_tensor_that_differs_is_named_with_its_step(bundle: Bundle, name: str, step: int) -> None:
    path = bundle.path(bundle.manifest.steps[0].path)
    tensors = load_file(path)
    values = tensors[name]
    values.flat[values.size // 2] = 1 - values.flat[values.size // 2] if name == "copied_1" else 100
    save_file(tensors, path)
    (found,) = step_differences(bundle)
    assert (found.case, found.step, found.what) == (CASE, step, name)


@pytest.mark.parametrize(
    ("changes", "step"),
    [({"focus": 0.5}, 6), ({"levels": 2}, 8), ({"weak": False}, 8), ({"depth_size": (8, 8)}, 4), ({"tap": None}, 6)],
)
def test_a_result_in_the_manifest_that_differs_is_named_with_its_step(
    bundle: Bundle, changes: dict[str, Any], step: int
) -> None:
    assert [found.step for found in step_differences(changed(bundle, **changes))] == [step]


def test_of_a_case_the_first_step_that_differs_is_named(bundle: Bundle) -> None:
    path = bundle.path(bundle.manifest.steps[0].path)
    tensors = load_file(path)
    tensors["photo"] = tensors["photo"][:, ::-1].copy()  # every step after the first sees another photo
    save_file(tensors, path)
    assert [found.step for found in step_differences(bundle)] == [3]


def test_a_file_without_its_photo_is_refused_with_its_name(bundle: Bundle) -> None:
    path = bundle.path(bundle.manifest.steps[0].path)
    save_file({"map": np.zeros((3, 3), np.uint8)}, path)
    with pytest.raises(DofkitError, match=rf"{CASE}\.safetensors lacks the tensor photo"):
        step_differences(bundle)


def test_a_check_has_a_row_for_the_steps_and_fails_by_it(bundle: Bundle) -> None:
    options = CheckOptions(transport=InProcess)
    row = run_parity(bundle, cases=[], options=options).results[0]
    assert (row.title, row.verdict) == ("steps", Verdict.PASS)
    row = run_parity(changed(bundle, focus=0.5), cases=[], options=options).results[0]
    assert row.verdict is Verdict.FAIL
    assert row.reason.startswith("closed: step 6, the focus differs by 0.")

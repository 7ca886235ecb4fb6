"""The face for Python programs: everything it names is there, light to import, and refuses what contradicts itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dofkit
from dofkit.runtime_ref.errors import DofkitError


@pytest.mark.parametrize("name", dofkit.__all__)
def test_every_name_of_the_face_is_there_and_documented(name: str) -> None:
    assert (getattr(dofkit, name).__doc__ or "").strip()
    assert name in dir(dofkit)


def test_what_is_typed_is_what_is_found() -> None:
    tree = ast.parse(Path(dofkit.__file__).read_text())
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in checked.body if isinstance(node, ast.ImportFrom)]
    typed = {alias.name: node.module for node in imports for alias in node.names}
    assert typed == dofkit._HOMES
    assert sorted(typed) == sorted(dofkit.__all__)


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'open_pipelin'"):
        dofkit.open_pipelin  # type: ignore[attr-defined]  # noqa: B018


def test_importing_dofkit_imports_nothing_heavy() -> None:
    program = (
        "import sys, dofkit; sys.exit(sorted({'numpy', 'PIL', 'torch', 'click', 'pydantic'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "tflite"}, "target tflite chooses a file of a bundle"),
        ({"precision": "fp16"}, "precision fp16 chooses a file of a bundle"),
        ({"bundle": "b", "weights": "w"}, "exclude each other"),
        ({"bundle": "gone.dofbundle"}, "not a bundle"),
        ({"bundle": "b", "target": "litert"}, "'litert' is no target; there are coreml, tflite, onnx, coreai"),
        ({"bundle": "b", "precision": "int8"}, "'int8' is no precision; there are fp32, fp16"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(DofkitError, match=words):
        dofkit.open_pipeline(**options)  # type: ignore[arg-type]


@pytest.mark.e2e
def test_a_bundle_opened_from_python_renders_what_its_files_compute(bundle_path: Path, photo: np.ndarray) -> None:
    pipeline = dofkit.open_pipeline(bundle_path, target="onnx", precision="fp32")
    assert pipeline.plan.depth_shape == (128, 128)
    assert "ONNX Runtime" in pipeline.runtimes[0]
    disparity = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (48, 1))
    sharp = pipeline.portrait(photo, disparity, aperture=0)
    np.testing.assert_array_equal(sharp, photo)
    focus = dofkit.Focus(disparity=0.3)
    blurred = pipeline.portrait(photo, disparity, focus, aperture=1)
    np.testing.assert_array_equal(blurred, pipeline.render(photo, disparity, dofkit.Lens(0.3, 1)))
    assert np.abs(blurred.astype(int) - photo).max() > 20


@pytest.mark.e2e
def test_what_a_bundle_lacks_is_told_with_what_it_has(bundle_path: Path) -> None:
    with pytest.raises(
        DofkitError, match=r"has no w8 models for depth.*; it has --target .* --precision fp32"
    ) as found:
        dofkit.open_pipeline(bundle_path, precision="w8")
    assert "\n" not in str(found.value)

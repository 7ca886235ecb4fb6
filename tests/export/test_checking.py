"""A bundle is checked from Python as by the command: the same refusals, before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dofkit.export.checking import check_bundle
from dofkit.runtime_ref.errors import DofkitError

from ..runtime_ref.bundle.small_bundle import model, write_bundle


def test_golden_vectors_of_the_users_photos_are_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "a.dofbundle", [model("depth")], [])
    with pytest.raises(DofkitError, match="golden vectors of the bundle's own pictures only"):
        check_bundle(tmp_path / "a.dofbundle", against="golden", images=tmp_path)


def test_a_folder_that_is_no_bundle_and_limits_that_are_no_toml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="no such folder"):
        check_bundle(tmp_path / "a.dofbundle")
    (tmp_path / "limits.toml").write_text("[[tolerance")
    with pytest.raises(DofkitError, match=r"limits\.toml: is not TOML"):
        check_bundle(tmp_path / "a.dofbundle", tolerances=tmp_path / "limits.toml")

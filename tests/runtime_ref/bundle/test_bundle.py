"""A bundle is verified to the last byte, its paths stay inside, and an interrupted write leaves nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from dofkit.runtime_ref.bundle import MANIFEST, Bundle, manifest, new_bundle
from dofkit.runtime_ref.bundle.manifest import BundlePath
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.plan import PipelinePlan


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    return shutil.copytree(bundle_path, tmp_path / "copy.dofbundle")


def _all_files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_a_bundle_opens_and_its_manifest_is_canonical(bundle_path: Path) -> None:
    opened = Bundle.open(bundle_path)
    assert opened.manifest.encoded() == (bundle_path / MANIFEST).read_bytes()
    assert {file.relative_to(bundle_path).as_posix() for file in _all_files(bundle_path)} == {
        MANIFEST,
        *opened.manifest.files,
    }


def test_one_flipped_byte_in_any_file_is_refused_with_the_files_name(copy: Path) -> None:
    for path in _all_files(copy):
        original = path.read_bytes()
        position = len(original) // 2
        path.write_bytes(original[:position] + bytes([original[position] ^ 1]) + original[position + 1 :])
        with pytest.raises(DofkitError) as refusal:
            Bundle.open(copy)
        assert path.relative_to(copy).as_posix() in str(refusal.value)
        assert "\n" not in str(refusal.value)
        path.write_bytes(original)
    Bundle.open(copy)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_flipped_bit_of_the_manifest_goes_unseen(copy: Path, data: st.DataObject) -> None:
    path = copy / MANIFEST
    original = path.read_bytes()
    position = data.draw(st.integers(0, len(original) - 1))
    bit = data.draw(st.integers(0, 7))
    path.write_bytes(original[:position] + bytes([original[position] ^ 1 << bit]) + original[position + 1 :])
    with pytest.raises(DofkitError, match=MANIFEST):
        Bundle.open(copy)
    path.write_bytes(original)


def _rewrite(copy: Path, change: Callable[[dict], None]) -> None:
    """Change a manifest and seal it again, as another version of dofkit would have written it."""
    document = json.loads((copy / MANIFEST).read_text())
    change(document)
    sealed = {**document, "digest": manifest.digest_of(document)}
    (copy / MANIFEST).write_bytes(manifest.canonical(sealed))


def test_a_bundle_from_before_a_field_had_a_default_still_opens(copy: Path) -> None:
    _rewrite(copy, lambda document: document["plan"].pop("focus_range"))
    assert Bundle.open(copy).manifest.plan.focus_range == PipelinePlan.model_fields["focus_range"].default


def test_a_bundle_of_another_schema_is_refused_with_the_field(copy: Path) -> None:
    _rewrite(copy, lambda document: document.update(schema_version=5))
    with pytest.raises(DofkitError, match="schema_version"):
        Bundle.open(copy)


def test_a_path_that_leaves_the_bundle_is_refused_even_in_a_sealed_manifest(copy: Path) -> None:
    _rewrite(copy, lambda document: document["models"][0].update(path="../../etc/passwd"))
    with pytest.raises(DofkitError, match="leaves the bundle"):
        Bundle.open(copy)


def test_a_missing_and_an_extra_file_are_named(copy: Path) -> None:
    (copy / "README.md").rename(copy / "other.md")
    with pytest.raises(DofkitError, match=r"README\.md is missing"):
        Bundle.open(copy)
    (copy / "other.md").rename(copy / "README.md")
    (copy / "stray.txt").write_text("x")
    with pytest.raises(DofkitError, match=r"stray\.txt is not in the manifest"):
        Bundle.open(copy)


def test_a_link_out_of_the_bundle_is_refused(copy: Path) -> None:
    readme = copy / "README.md"
    outside = copy.parent / "outside.md"
    readme.rename(outside)
    readme.symlink_to(outside)
    with pytest.raises(DofkitError, match="symbolic link"):
        Bundle.open(copy)


@pytest.mark.parametrize("what", ["nothing", "a file", "an empty folder"])
def test_what_is_no_bundle_is_refused_in_one_line(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x.dofbundle"
    if what == "a file":
        path.write_text("hello")
    elif what == "an empty folder":
        path.mkdir()
    with pytest.raises(DofkitError, match="is not a bundle"):
        Bundle.open(path)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "", "C:/x", "a\\..\\x", "a\0b"])
def test_paths_that_leave_the_bundle_are_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(BundlePath).validate_python(path)


@given(st.text(max_size=30))
def test_an_accepted_path_stays_inside(text: str) -> None:
    try:
        path = TypeAdapter(BundlePath).validate_python(text)
    except ValidationError:
        return
    root = Path("/bundle")
    assert os.path.normpath(root / path).startswith("/bundle")


def test_the_manifest_names_nothing_of_this_machine(bundle_path: Path) -> None:
    text = (bundle_path / MANIFEST).read_text()
    assert str(Path.home()) not in text
    assert os.uname().nodename not in json.dumps(json.loads(text)["tools"])
    assert str(bundle_path.parent) not in text


def test_models_and_golden_vectors_name_nothing_of_this_machine(bundle_path: Path) -> None:
    import dofkit

    package = str(Path(dofkit.__file__).resolve().parent).encode()
    for path in _all_files(bundle_path):
        data = path.read_bytes()
        assert package not in data, path
        assert b"site-packages" not in data, path


def test_an_interrupted_write_leaves_no_goal_and_keeps_the_old_one(tmp_path: Path) -> None:
    goal = tmp_path / "x.dofbundle"
    with pytest.raises(KeyboardInterrupt), new_bundle(goal):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with new_bundle(goal) as folder:
        (folder / MANIFEST).write_text("old")
    with pytest.raises(ValueError, match="boom"), new_bundle(goal):
        raise ValueError("boom")
    assert (goal / MANIFEST).read_text() == "old"
    assert list(tmp_path.iterdir()) == [goal]


def test_a_finished_write_replaces_an_older_bundle(tmp_path: Path) -> None:
    goal = tmp_path / "x.dofbundle"
    for text in ("old", "new"):
        with new_bundle(goal) as folder:
            (folder / MANIFEST).write_text(text)
    assert (goal / MANIFEST).read_text() == "new"
    assert list(tmp_path.iterdir()) == [goal]


def test_something_that_is_no_bundle_is_never_overwritten(tmp_path: Path) -> None:
    precious = tmp_path / "photos"
    precious.mkdir()
    (precious / "a.jpg").write_text("x")
    with pytest.raises(DofkitError, match="not a bundle"), new_bundle(precious):
        pass
    assert (precious / "a.jpg").read_text() == "x"


def test_the_remains_of_a_killed_export_are_cleared(tmp_path: Path) -> None:
    goal = tmp_path / "x.dofbundle"
    remains = tmp_path / ".x.dofbundle.partial-999999999"
    remains.mkdir()
    with new_bundle(goal) as folder:
        (folder / MANIFEST).write_text("new")
    assert not remains.exists()


def test_a_bundle_that_a_killed_export_had_moved_aside_returns(tmp_path: Path) -> None:
    goal, aside = tmp_path / "x[1].dofbundle", tmp_path / ".x[1].dofbundle.partial-999999999-old"
    for folder in (aside, tmp_path / ".x[1].dofbundle.partial-999999999"):
        folder.mkdir()
        (folder / MANIFEST).write_text(folder.name)
    with pytest.raises(KeyboardInterrupt), new_bundle(goal):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == [goal.name]
    assert (goal / MANIFEST).read_text() == aside.name


def test_what_a_running_export_has_moved_aside_is_left_alone(tmp_path: Path) -> None:
    aside = tmp_path / f".x.dofbundle.partial-{os.getppid()}-old"
    aside.mkdir()
    with new_bundle(tmp_path / "x.dofbundle") as folder:
        (folder / MANIFEST).write_text("new")
    assert aside.exists()

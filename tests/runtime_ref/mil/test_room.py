"""The evaluator stands on its own: what it is given comes from below, and one module knows of files and pictures."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import dofkit.runtime_ref.mil

ROOM = Path(dofkit.runtime_ref.mil.__file__).parent


def _from_outside(path: Path) -> Iterator[str]:
    """Modules of runtime_ref that a module of the room imports from outside of it."""
    depth = len(path.relative_to(ROOM).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level > depth:
            assert node.level == depth + 1, f"{path.name} imports from above runtime_ref"
            assert node.module is not None
            yield node.module


def test_only_one_module_of_the_evaluator_knows_files_and_pictures() -> None:
    outside = {path.name: set(_from_outside(path)) for path in ROOM.rglob("*.py")}
    allowed = {"errors", "matching"}
    beyond = {name: modules - allowed for name, modules in outside.items() if modules - allowed}
    assert set(beyond) <= {"files.py"}, beyond
    assert beyond["files.py"] == {"files", "imageio", "pipeline.pyramid", "pipeline.resampling"}

"""No exporter, quantiser or sensitivity run knows a network by its name: they know contracts."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import dofkit.export
from dofkit.train.networks import ARCHITECTURES

FOLDER = Path(dofkit.export.__file__ or "").parent
FORMS = {
    arrangement.form.__name__
    for entry in ARCHITECTURES
    for arrangement in entry.contract.arrangements.values()
    if isinstance(arrangement.form, type)
}
NAMES = {entry.network.__name__ for entry in ARCHITECTURES} | {entry.config.__name__ for entry in ARCHITECTURES} | FORMS
FILES = sorted(FOLDER.rglob("*.py"))


def test_there_is_something_to_look_for() -> None:
    assert {"DepthNet", "LensBlurNet", "GuidedUpsamplingNet", "GuidedUpsamplingByColour"} <= NAMES
    assert len(FILES) > 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_no_module_names_a_network_or_asks_one_for_its_attributes(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Name):
            names = [node.id]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        assert not NAMES & set(names), f"{path.name}:{getattr(node, 'lineno', 0)} names {NAMES & set(names)}"

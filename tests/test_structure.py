"""The house: no package is forgotten, floors import only what lies below them, the command starts at once."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# floor -> what it may import besides itself
FLOORS = {
    "runtime_ref": set(),
    "train": {"runtime_ref"},
    "devices": {"runtime_ref"},
    "export": {"runtime_ref", "train"},
    "kits": {"runtime_ref"},
    "commands": {
        "runtime_ref",
        "train",
        "export",
        "devices",
        "kits",
        "api",
        "rendering",
        "batch",
        "focal",
        "focal_providers",
    },
}


def _packages() -> list[str]:
    folders = [path.parent.relative_to(ROOT) for path in ROOT.rglob("__init__.py")]
    inside = [
        f for f in folders if f.parts[:1] not in (("tests",), ("build",)) and not any(p[0] == "." for p in f.parts)
    ]
    return sorted(".".join(("dofkit", *folder.parts)) for folder in inside)


def test_every_package_is_listed_for_installation() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    listed = text.split("packages = [", 1)[1].split("]", 1)[0]
    assert sorted(ast.literal_eval(f"[{listed}]")) == _packages()


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_imports_only_the_floors_below_and_the_version(floor: str) -> None:
    for path in (ROOT / floor).rglob("*.py"):
        depth = len(path.relative_to(ROOT).parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == depth and node.module:
                imported = node.module.partition(".")[0]
                assert imported in {floor, "version", *FLOORS[floor]}, (
                    f"{path.relative_to(ROOT)}:{node.lineno} imports {imported}"
                )
            if isinstance(node, ast.ImportFrom | ast.Import):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                assert not any(name.partition(".")[0] == "dofkit" for name in names), f"{path}: imports are relative"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["export", "--help"],
        ["check", "--help"],
        ["train", "--help"],
        ["diff", "--help"],
        ["sensitivity", "--help"],
        ["generate", "--help"],
        ["generate", "scenes", "--help"],
        ["generate", "argan", "--help"],
        ["evaluate", "--help"],
        ["evaluate", "render", "--help"],
        ["evaluate", "depth", "--help"],
        ["data", "--help"],
        ["data", "inspect", "--help"],
        ["mil", "--help"],
        ["mil", "run", "--help"],
        ["mil", "show", "--help"],
        ["mil", "diff", "--help"],
        ["coreai", "run", "--help"],
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from dofkit.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'PIL', 'onnxruntime', 'coremltools', 'litert_torch', 'lightning', 'pydantic'}\n"
        "heavy |= {'coreai', 'coreai_torch'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"imported {done.stderr}"


def test_the_core_install_suffices_for_inspect_and_doctor(bundle_path: Path) -> None:
    # Extras that are not installed: any import of them fails.
    extras = [
        "torch",
        "onnx",
        "onnxruntime",
        "coremltools",
        "coreai",
        "ai_edge_litert",
        "skimage",
        "litert_torch",
        "jinja2",
        "lightning",
        "scipy",
    ]
    program = f"""
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {extras}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from dofkit.cli import main
main(sys.argv[1:])
"""
    for arguments in (["inspect", str(bundle_path)], ["doctor"], ["--help"]):
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

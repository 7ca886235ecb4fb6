"""What other processes run: modules of dofkit and of what is installed, never what lies in the current folder."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dofkit.runtime_ref.backends._process import module_path
from dofkit.runtime_ref.backends._worker import _made
from dofkit.runtime_ref.backends.backend import Origin
from dofkit.runtime_ref.backends.own_process import OwnProcess
from dofkit.runtime_ref.backends.registry import backend
from dofkit.runtime_ref.bundle import Bundle

from .there import golden_inputs, model_of, open_there

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def test_nothing_in_the_current_folder_is_executed(
    bundle: Bundle, transport: OwnProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "was-here"
    for module in ("onnxruntime", "numpy", "dofkit", "struct", "json"):
        (tmp_path / f"{module}.py").write_text(f"open({str(mark)!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    assert open_there(transport, bundle, model_of(bundle)).run(golden_inputs(bundle)).any()
    assert not mark.exists()


def test_the_current_folder_is_no_place_for_modules_however_this_process_got_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `python -c` and an interactive Python put "" first, `python -m` the folder's name.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), ".", *sys.path])
    assert str(tmp_path.resolve()) not in module_path()
    assert {str(Path(entry).resolve()) for entry in sys.path} - {str(tmp_path.resolve())} == set(module_path())


def test_one_module_of_the_package_starts_processes_and_never_by_a_modules_name() -> None:
    root = Path(__file__).parents[3]
    starting = {}
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if inside.parts[0] in ("tests", "build") or any(part.startswith(".") for part in inside.parts):
            continue
        if calls := [call for node in ast.walk(ast.parse(path.read_text())) for call in _starts(node)]:
            starting[inside.as_posix()] = calls
    # Work over many items is done by a pool of Python's own, see `runtime_ref.processes`.
    assert starting.pop("runtime_ref/mapping.py") == ["get_context"]
    assert "with safe_path(), ProcessPoolExecutor" in (root / "runtime_ref/mapping.py").read_text()
    # A converter of a brought network has a limit on its memory; it gets `module_path`.
    assert starting.pop("export/confined.py") == ["Popen"]
    assert "*module_path()" in (root / "export/confined.py").read_text()
    # Installations run the system's tools, in folders of their own; pip without the current folder.
    assert starting.pop("devices/installing.py") == ["run"]
    assert starting.pop("devices/arm64/debian.py") == ["Popen"]
    assert 'sys.executable, "-I", "-m", "pip"' in (root / "devices/arm64/installation.py").read_text()
    # This machine's rates are measured with one thread, which only a new process can have; it gets `module_path`.
    assert starting.pop("devices/rates.py") == ["run"]
    assert "*module_path()" in (root / "devices/rates.py").read_text()
    assert starting == {"runtime_ref/backends/_process.py": ["Popen"]}
    assert '"-m"' not in (root / "runtime_ref/backends/_process.py").read_text()


STARTERS = {
    "subprocess": {"Popen", "run", "call", "check_call", "check_output", "getoutput", "getstatusoutput"},
    "os": {"system", "popen", "execv", "execve", "execvp", "spawnv", "spawnve", "spawnl", "posix_spawn", "startfile"},
    "multiprocessing": {"Process", "Pool", "get_context"},
    "asyncio": {"create_subprocess_exec", "create_subprocess_shell"},
}


def _starts(node: ast.AST) -> Iterator[str]:
    """Names of calls that start a process, and of those that are imported to be called."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        if node.func.attr in STARTERS.get(node.func.value.id, set()):
            yield node.func.attr
    elif isinstance(node, ast.ImportFrom) and node.module in STARTERS:
        yield from (alias.name for alias in node.names if alias.name in STARTERS[node.module])


def test_only_dofkits_own_modules_make_backends() -> None:
    with pytest.raises(ValueError, match="os is no module of dofkit"):
        _made(Origin(module="os", id="system"))
    assert _made(backend("litert").origin) == backend("litert")

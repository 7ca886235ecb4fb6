"""The command line's manners: no terminal, signal, number or name makes it end in a traceback or in silence."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from rich.table import Table

from dofkit.cli import main
from dofkit.commands import _console
from dofkit.commands._hints import meant
from dofkit.commands._options import BUNDLE, FiniteFloat, HintedChoice
from dofkit.runtime_ref.target import Precision, Target


def commands(group: click.Group = main, name: str = "dofkit") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for each in group.list_commands(context):
        command = group.get_command(context, each)
        assert command is not None
        yield f"{name} {each}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {each}")


def test_every_number_on_the_command_line_is_finite_and_every_choice_has_hints() -> None:
    seen = 0
    for name, command in commands():
        for parameter in command.params:
            kind, what = parameter.type, f"{name} {parameter.opts[0]}"
            if isinstance(kind, click.types.FloatParamType):
                assert isinstance(kind, FiniteFloat), f"{what} takes nan"
                seen += 1
            if isinstance(kind, click.Choice):
                assert isinstance(kind, HintedChoice), f"{what} has no hints"
                seen += 1
    assert seen > 20


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_a_finite_number_is_neither_nan_nor_infinite(value: str) -> None:
    for kind in (FiniteFloat(), FiniteFloat(0), FiniteFloat(min=1)):
        with pytest.raises(click.BadParameter):
            kind.convert(value, None, None)
    assert FiniteFloat(0).convert("2.5", None, None) == 2.5


@pytest.mark.parametrize(
    ("word", "kind", "ours"),
    [
        ("litert", Target, "tflite"),
        ("mlpackage", Target, "coreml"),
        ("onnxruntime", Target, "onnx"),
        ("CoreML", Target, "coreml"),
        ("float16", Precision, "fp16"),
        ("Half", Precision, "fp16"),
        ("float32", Precision, "fp32"),
        ("int8", Precision, "w8a8"),
        ("int4", Precision, "w4"),
        ("fp61", Precision, "fp16"),
        ("pallete4", Precision, "palette4"),
    ],
)
def test_what_other_tools_call_it_leads_to_our_name(word: str, kind: type[Target] | type[Precision], ours: str) -> None:
    assert ours in meant(word, [member.value for member in kind])


def test_a_name_like_none_has_no_hint() -> None:
    assert meant("zzzzzz", [member.value for member in Precision]) == []


def test_a_command_and_a_choice_that_are_none_name_the_likely_one(cli: Callable) -> None:
    for arguments, hint in (
        (["exprot"], "Did you mean export?"),
        (["mil", "shwo"], "Did you mean show?"),
        (["render", "a.jpg", "--target", "litert"], "Did you mean tflite?"),
        (["export", "--target", "mlpackage"], "Did you mean coreml?"),
        (["render", "a.jpg", "--precision", "int8"], "Did you mean w8, dynamic or w8a8?"),
    ):
        result = cli(*arguments)
        assert result.exit_code == 2
        assert hint in result.stderr


def test_the_manifest_of_a_bundle_means_its_folder(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    assert BUNDLE.convert(str(tmp_path / "manifest.json"), None, None) == tmp_path
    assert BUNDLE.convert(str(tmp_path), None, None) == tmp_path
    assert BUNDLE.convert("gone/manifest.json", None, None) == Path("gone/manifest.json")


def run_python(program: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    (folder / "program.py").write_text(program, encoding="utf-8")  # a file: an ASCII command line would spoil it
    return subprocess.Popen(
        [sys.executable, folder / "program.py"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace",
        env={**os.environ, **environment},
    )  # fmt: skip


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def test_an_ascii_terminal_gets_plain_signs_and_no_traceback(tmp_path: Path) -> None:
    program = """
import click
from dofkit.cli import main
from dofkit.runtime_ref.errors import DofkitError
@main.command("say")
def say():
    from dofkit.commands import _console
    from rich.table import Table
    table = Table(title="4032×3024 → α")
    table.add_column("µ")
    table.add_row("é ≤ " + chr(0xDCFF))
    _console.stdout().print(table)
    _console.stdout().print("wrote 4032×3024", markup=False)
    _console.print_json({"out": "ü×"})
    _console.print_notes(["4032×3024 · é"])
    with _console.progress(): pass
    raise DofkitError("ü.jpg: 4032×3024; try −1")
main.list_commands = lambda ctx: ["say"]
main.get_command = lambda ctx, name: say
main.resolve_command = lambda ctx, args: ("say", say, args[1:])
main(["say"])
"""
    process = run_python(program, tmp_path, **ASCII)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 2, error
    assert "Traceback" not in error
    assert "wrote 4032x3024" in out
    assert " -> alpha" in out
    assert r'"out": "\u00fc\u00d7"' in out
    assert error == "dofkit: note: 4032x3024 * ?\ndofkit: error: ?.jpg: 4032x3024; try -1\n"


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_command_that_is_told_to_end_cleans_up_and_says_so_by_its_code(tmp_path: Path, name: str, code: int) -> None:
    program = """
import signal, time
for each in (signal.SIGINT, signal.SIGHUP):  # whoever runs the tests may ignore them, and so would this process
    signal.signal(each, signal.default_int_handler if each is signal.SIGINT else signal.SIG_DFL)
from dofkit.commands._terminal import signals_as_exits
with signals_as_exits():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaned", flush=True)
"""
    process = run_python(program, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, name))
    out, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == "cleaned\n"
    assert "Traceback" not in error


def test_signals_are_handed_back_after_a_command() -> None:
    from dofkit.commands._terminal import signals_as_exits

    before = signal.getsignal(signal.SIGTERM)
    with signals_as_exits():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def wide_table() -> Table:
    table = Table(title="Models")
    for name in ("stage", "verdict", "PSNR of the whole photo"):
        table.add_column(name, no_wrap=True)
    table.add_row("guided_upsampling", "[green]PASS[/green]", "0123456789 dB, worst of all golden cases")
    table.add_row("depth", "", "abcdef")
    return table


@pytest.mark.parametrize("width", [30, 45, 200])
def test_no_terminal_is_too_narrow_for_a_table(width: int) -> None:
    console = _console._ResultConsole(file=io.StringIO(), width=width)
    console.print(wide_table())
    text = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    words = "".join(text.split())
    for word in ("guided_upsampling", "PASS", "abcdef", "0123456789", "PSNRofthewholephoto" if width > 45 else "PSNR"):
        assert word in words


def test_errors_of_ours_are_one_line_in_every_terminal(cli: Callable, tmp_path: Path) -> None:
    result = cli("render", str(tmp_path / "ü×.jpg"))
    assert result.exit_code == 2
    assert result.stderr.startswith("dofkit: error: ")
    assert result.stderr.count("\n") == 1

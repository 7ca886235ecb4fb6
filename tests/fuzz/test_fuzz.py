"""A slice of the fuzzing that fits into every test run; the whole of it: `python -m tests.fuzz.fuzz --help`."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from dofkit.runtime_ref.errors import DofkitError

from . import verdicts
from .entries import KINDS, case_of
from .seeds import Tree, sound_files, write_tree
from .verdicts import judge

# Torch is not imported for this slice; `weights` are fuzzed by the command only.
LIGHT = [kind for kind in KINDS if kind not in ("weights",)]
EACH = 8


@pytest.fixture(scope="module")
def sound() -> dict[str, list[Tree]]:
    return sound_files(LIGHT)


@pytest.mark.parametrize("kind", LIGHT)
def test_a_sound_file_is_read(sound, kind: str, tmp_path: Path) -> None:
    """Otherwise every refusal below would prove nothing."""
    for number, tree in enumerate(sound[kind]):
        verdict = judge(number, kind, tree)
        assert verdict.outcome == "read", verdict.detail


@pytest.mark.parametrize("kind", LIGHT)
def test_damaged_files_are_read_or_refused_in_one_line(sound, kind: str) -> None:
    place = list(KINDS).index(kind)
    outcomes = set()
    for turn in range(EACH):
        number = turn * len(KINDS) + place
        verdict = judge(number, kind, case_of(1, number, sound))
        assert not verdict.failed, f"case {number} of seed 1: {verdict.outcome}\n{verdict.detail}"
        outcomes.add(verdict.outcome)
    assert "refused" in outcomes, "nothing was damaged"


def test_a_case_is_the_same_whenever_it_is_made(sound) -> None:
    for number in range(len(KINDS)):
        kind = list(KINDS)[number]
        if kind in LIGHT:
            assert case_of(3, number, sound) == case_of(3, number, sound)
    assert case_of(3, 0, sound) != case_of(4, 0, sound)


@pytest.mark.parametrize(
    ("failing", "outcome"),
    [
        (lambda path: json.loads("{"), "traceback"),
        (lambda path: _raise("two\nlines\x1b[2J"), "refused"),  # the error itself sees to it
        (lambda path: _raise(""), "lines"),
        (lambda path: all(True for _ in iter(int, 1)), "hang"),
        (lambda path: len(b"1" * (60 << 20)), "memory"),
    ],
)
def test_what_must_not_happen_is_noticed(failing, outcome: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(verdicts.KINDS, "recipe", (failing, ".json"))  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(verdicts, "SECONDS", 0.2 if outcome == "hang" else 10)
    monkeypatch.setattr(verdicts, "MEGABYTES", 50)
    before = signal.getsignal(signal.SIGPROF)
    verdict = judge(0, "recipe", {"": b"{}"})
    assert verdict.outcome == outcome
    assert verdict.failed == (outcome != "refused")
    assert "\n" not in verdict.detail or outcome != "refused"
    assert signal.getsignal(signal.SIGPROF) == before


def _raise(text: str) -> None:
    raise DofkitError(text)


def test_what_a_tree_holds_is_what_is_written(tmp_path: Path) -> None:
    write_tree({"a/b": b"1", "c": b""}, tmp_path / "folder")
    write_tree({"": b"2"}, tmp_path / "file.bin")
    assert (tmp_path / "folder/a/b").read_bytes() == b"1"
    assert (tmp_path / "folder/c").read_bytes() == b""
    assert (tmp_path / "file.bin").read_bytes() == b"2"

"""Whole numbers that no training can have are refused by every training command, before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

COMMANDS = {
    "depth": ("--batch", "--size"),
    "render": ("--batch", "--size", "--held-out"),
    "cyclegan": ("--batch", "--size", "--drawn"),
    "pix2pix": ("--batch", "--size", "--drawn"),
    "argan": ("--drawn",),
}
OF_EVERY_RUN = ("--steps", "--devices", "--checkpoint-every")


@pytest.mark.parametrize("value", ["0", "-1"])
@pytest.mark.parametrize(
    ("command", "option"),
    [(name, option) for name, own in COMMANDS.items() for option in (*own, *OF_EVERY_RUN)],
)
def test_a_count_of_nothing_is_refused(cli: Callable, tmp_path: Path, command: str, option: str, value: str) -> None:
    result = cli("train", command, "--out", str(tmp_path / "run"), option, value)
    assert result.exit_code == 2, result.output
    assert f"'{option}': {value} is not in the range x>=" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--seed", "--workers", "--threads"])
def test_less_than_nothing_is_refused(cli: Callable, tmp_path: Path, command: str, option: str) -> None:
    result = cli("train", command, "--out", str(tmp_path / "run"), option, "-1")
    assert result.exit_code == 2, result.output
    assert f"'{option}': -1 is not in the range x>=0" in result.stderr

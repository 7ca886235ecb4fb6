"""What every refusal of a command has in common."""

from __future__ import annotations

from click.testing import Result


def assert_one_line(result: Result, *words: str) -> None:
    """Exit code 2, and one line on stderr that says these words."""
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr

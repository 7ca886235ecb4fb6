"""What users read of an error that came from elsewhere."""

from __future__ import annotations

import pytest

from dofkit.runtime_ref.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one"), "one"),
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n  \n  three\n"), "three"),
        (EOFError(), "EOFError"),
        (RuntimeError(" \n"), "RuntimeError"),
    ],
)
def test_a_foreign_error_is_told_in_one_line(error: Exception, line: str) -> None:
    assert first_line(error) == line

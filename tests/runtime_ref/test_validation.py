"""A document that its model refuses is refused in one line: the file, the place, what is wrong, how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, model_validator

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.validation import read_json


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int


class _Document(BaseModel):
    parts: list[_Part]

    @model_validator(mode="after")
    def _some(self) -> _Document:
        if not self.parts:
            raise ValueError("holds no part")
        return self


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            '{"parts": [{"width": 1}, {"width": "x"}]}',
            r"parts\.1\.width: Input should be a valid integer.*; write it again",
        ),
        ('{"parts": [{"width": 1, "height": 2}]}', r"parts\.0\.height: Extra inputs are not permitted; write it again"),
        ('{"parts": []}', "the file: holds no part; write it again"),
        ("[1, 2", r"the file: Invalid JSON: .*; write it again"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_remedy(text: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "document.json"
    path.write_text(text)
    with pytest.raises(DofkitError, match=rf"^{path}: {line}$"):
        read_json(path, _Document, "write it again")


def test_what_fits_is_read(tmp_path: Path) -> None:
    path = tmp_path / "document.json"
    path.write_text('{"parts": [{"width": 3}]}')
    assert read_json(path, _Document, "").parts == [_Part(width=3)]

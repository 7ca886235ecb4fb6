"""Documents that pydantic models describe: read, or refused in a line that says where, what, and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from .errors import DofkitError
from .files import read_file

Model = TypeVar("Model", bound=BaseModel)


def read_json(path: Path, kind: type[Model], mend: str) -> Model:
    """A JSON file as the model that describes it.

    Args:
        path: the file.
        kind: what it holds.
        mend: the remedy where it does not, as an imperative ("export the bundle again").

    Raises:
        DofkitError: it is missing, no JSON, or holds something else.
    """
    try:
        return kind.model_validate_json(read_file(path))
    except ValidationError as error:
        raise invalid(path, error, mend) from error


def invalid(path: Path, error: ValidationError, mend: str) -> DofkitError:
    """The error to raise for a file that its model refuses: "path: place: what is wrong there; how to mend it"."""
    return DofkitError(f"{path}: {first_place(error) or 'the file'}: {first_reason(error)}; {mend}")


def first_place(error: ValidationError) -> str:
    """Where the first mistake is, keys and numbers joined by dots; empty for the document as a whole."""
    return ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"])


def first_reason(error: ValidationError) -> str:
    """What is wrong there."""
    return error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")

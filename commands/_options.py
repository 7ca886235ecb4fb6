"""Options that several commands share, and how they turn into the project's own types."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

import click

from ..runtime_ref.target import Precision, Target

Kind = TypeVar("Kind", bound=Enum)


class EnumChoice(click.Choice):
    """A choice of an enum's values that returns its members."""

    def __init__(self, kind: type[Kind]) -> None:
        super().__init__([member.value for member in kind])
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if isinstance(value, self._kind) else self._kind(super().convert(value, param, ctx))


TARGET = EnumChoice(Target)
PRECISION = EnumChoice(Precision)

json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")

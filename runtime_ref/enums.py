"""Closed sets of names: what is written in files, messages and on the command line is the member's value."""

from __future__ import annotations

from enum import Enum


class TextEnum(str, Enum):
    """A member is its value wherever it is written. (`enum.StrEnum` came with Python 3.11.)"""

    def __str__(self) -> str:
        return self.value


class TitledEnum(TextEnum):
    """Each member is defined by its value and a title.

    Attributes:
        title: what it is, for people.
    """

    title: str

    def __new__(cls, value: str, title: str) -> TitledEnum:
        """A member; `cls(value)` still finds one by its value alone."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.title = title
        return member

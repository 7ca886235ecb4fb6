"""A team's own tolerances: a TOML file whose entries override rows of the table in `tolerances`.

[[tolerance]]
target = "tflite"          # all targets without it
precision = "w8a8"         # all precisions without it
scope = "depth"            # a stage or "pipeline"; everything without it
backend = "litert-fp16"    # all backends without it
psnr = 30.0                # at least one limit
reason = "night mode, agreed with the camera team"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator
from typing_extensions import Self

from ..backends.registry import backend
from ..errors import DofkitError
from ..files import read_toml
from ..target import Precision, Target
from ..validation import first_place, first_reason
from .tolerances import Tolerance
from .verdict import RowKey

METRICS = ("max_abs", "psnr", "ssim", "focus_psnr", "edge_psnr", "highlight_psnr", "colour_shift")

_Decibels = Annotated[float, Field(strict=True, gt=0, le=200)]
_Share = Annotated[float, Field(strict=True, ge=0, le=1)]


class TeamTolerance(BaseModel):
    """One entry of the file: which comparisons it is for, its limits, and why.

    Attributes:
        target, precision, scope, backend: what it is for; None is all of them.
        psnr, focus_psnr, edge_psnr, highlight_psnr: least values, in dB.
        ssim: least value.
        max_abs, colour_shift: greatest values, in units of the value range.
        reason: why these numbers; reports quote it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: Target | None = None
    precision: Precision | None = None
    scope: Literal["depth", "lens_blur", "guided_upsampling", "pipeline"] | None = None
    backend: str | None = None
    max_abs: _Share | None = None
    psnr: _Decibels | None = None
    ssim: _Share | None = None
    focus_psnr: _Decibels | None = None
    edge_psnr: _Decibels | None = None
    highlight_psnr: _Decibels | None = None
    colour_shift: _Share | None = None
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

    @property
    def limits(self) -> dict[str, float]:
        """The limits that it sets, by the metric's name."""
        return {name: getattr(self, name) for name in METRICS if getattr(self, name) is not None}

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if not self.limits:
            raise ValueError(f"it limits nothing; give at least one of {', '.join(METRICS)}")
        return self

    @field_validator("backend")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                backend(value)
            except DofkitError as error:
                raise ValueError(str(error)) from error
        return value

    def covers(self, key: RowKey) -> bool:
        """Whether it is for this comparison."""
        return (
            self.target in (None, key.target)
            and self.precision in (None, key.precision)
            and self.scope in (None, key.scope)
            and self.backend in (None, key.backend)
        )


@dataclass(frozen=True)
class TeamTolerances:
    """All entries of a file, in its order.

    Attributes:
        source: the file's name, for reports.
        entries: what it says.
    """

    source: str
    entries: tuple[TeamTolerance, ...]

    def apply(self, key: RowKey, default: Tolerance) -> Tolerance:
        """The limits of a comparison: the default's, each replaced by the last entry that sets it.

        Args:
            key: what is compared.
            default: what holds where the file says nothing. Its reason gives way to those of the entries that count.
        """
        deciding: dict[str, TeamTolerance] = {}
        for entry in self.entries:
            if entry.covers(key):
                deciding |= dict.fromkeys(entry.limits, entry)
        if not deciding:
            return default
        limits = {name: entry.limits[name] for name, entry in deciding.items()}
        reasons = [entry.reason for entry in self.entries if any(entry is other for other in deciding.values())]
        return Tolerance(
            max_abs=limits.pop("max_abs", default.max_abs),
            psnr=limits.pop("psnr", default.psnr),
            reason=f"{self.source}: {'; '.join(reasons)}",
            others={**default.others, **limits},
        )


def read_tolerances(path: Path) -> TeamTolerances:
    """Read a team's TOML file.

    Raises:
        DofkitError: the file is missing or no TOML, or an entry is wrong; the text names the entry and the key.
    """
    entries = _entries(path, read_toml(path))
    return TeamTolerances(path.name, tuple(_entry(path, number, entry) for number, entry in enumerate(entries, 1)))


def _entries(path: Path, document: Mapping[str, Any]) -> list[Any]:
    """The list under `[[tolerance]]`, and nothing else beside it."""
    foreign = sorted(set(document) - {"tolerance"})
    if foreign:
        raise DofkitError(f"{path}: {foreign[0]!r} means nothing here; every entry starts with [[tolerance]]")
    entries = document.get("tolerance")
    if not entries:
        raise DofkitError(f"{path}: holds no entry; start one with [[tolerance]]")
    if not isinstance(entries, list):
        raise DofkitError(f"{path}: an entry starts with two brackets: [[tolerance]], not [tolerance]")
    return entries


def _entry(path: Path, number: int, entry: object) -> TeamTolerance:
    try:
        return TeamTolerance.model_validate(entry)
    except ValidationError as error:
        where = first_place(error)
        what = _remedy(dict(error.errors()[0]), first_reason(error))
        raise DofkitError(f"{path}: entry {number}: {where + ': ' if where else ''}{what}") from error


def _remedy(problem: Mapping[str, Any], reason: str) -> str:
    """What is wrong with a key, and how to mend it, in a line."""
    key = str(problem["loc"][-1]) if problem["loc"] else ""
    if problem["type"] == "extra_forbidden":
        known = list(TeamTolerance.model_fields)
        likely = get_close_matches(key, known, 1)
        return f"no such key; did you mean {likely[0]}?" if likely else f"no such key; there are {', '.join(known)}"
    if problem["type"] == "missing":
        return 'is missing; say why, e.g. reason = "agreed with the camera team"'
    return reason

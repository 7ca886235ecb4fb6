"""Which operations an fp16 model computes in fp32, by their types or names."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..runtime_ref.errors import DofkitError


@dataclass
class KeepFp32:
    """Which operations an fp16 model computes in fp32: the question that a converter asks of every operation.

    Attributes:
        patterns: operation types or output names; `*` and `?` match.
        seen: (type, output name) of every operation that was asked for.
        kept: the names of those that stay in fp32.
    """

    patterns: tuple[str, ...] = ()
    seen: list[tuple[str, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def asked(self, kind: str, name: str, anyway: bool = False) -> bool:
        """Whether an operation stays in fp32, if not `anyway`; it is noted that it was asked for."""
        self.seen.append((kind, name))
        if anyway or self.keeps(kind, name):
            self.kept.append(name)
            return True
        return False

    def keeps(self, kind: str, name: str) -> bool:
        """Whether a pattern matches an operation's type or output name."""
        return any(_matches(pattern, kind, name) for pattern in self.patterns)

    def unmatched(self) -> list[str]:
        """Patterns that no operation matched."""
        return [p for p in self.patterns if not any(_matches(p, kind, name) for kind, name in self.seen)]


def _matches(pattern: str, kind: str, name: str) -> bool:
    return fnmatch.fnmatchcase(kind, pattern) or fnmatch.fnmatchcase(name, pattern)


def refuse_unmatched(keeps: Iterable[KeepFp32]) -> None:
    """Refuse a pattern that matched no operation of any network.

    Raises:
        DofkitError: naming the pattern and what there is.
    """
    keeps = list(keeps)
    for pattern in keeps[0].unmatched() if keeps else ():
        if all(pattern in keep.unmatched() for keep in keeps):
            kinds = sorted({kind for keep in keeps for kind, _ in keep.seen})
            names = sorted({name for keep in keeps for _, name in keep.seen})
            near = [name for name in names if pattern.strip("*?").lower() in name.lower()] or names
            raise DofkitError(
                f"--keep-fp32 {pattern}: no operation has this type or output name; types: {', '.join(kinds)}; "
                f"names: {', '.join(near[:12])}{' …' if len(near) > 12 else ''}"
            )

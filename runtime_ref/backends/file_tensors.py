"""What an opened file says of its own inputs and outputs, in the same words for every target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

ANY = -1  # a dimension that the file leaves open


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class FileTensor(_Frozen):
    """An input or output as it stands in the file.

    Attributes:
        kind: "float32", "float16", "uint8" …, or the pixels of a Core ML image ("RGB").
        shape: its dimensions; `ANY` where the file leaves one open.
    """

    name: str
    kind: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.kind} {list(self.shape)}"


class FileTensors(_Frozen):
    """All inputs and outputs; the operations, too, where their count is part of what a manifest promises."""

    inputs: tuple[FileTensor, ...]
    outputs: tuple[FileTensor, ...]
    operators: dict[str, int] | None = None


@runtime_checkable
class DescribedSession(Protocol):
    """A session that can say what the file declares, without computing."""

    def tensors(self) -> FileTensors | None:
        """The file's own declarations; None where the runtime does not tell."""
        ...


def shape_of(dimensions: Iterable[object]) -> tuple[int, ...]:
    """Dimensions as a runtime gives them: names and nothing at all are `ANY`."""
    return tuple(int(size) if isinstance(size, int) and size > 0 else ANY for size in dimensions)


def mismatches(wanted: Sequence[FileTensor], found: Sequence[FileTensor]) -> bool:
    """Whether a file's tensors are not those that are wanted; their order does not count."""
    ordered = [sorted(tensors, key=lambda tensor: tensor.name) for tensors in (wanted, found)]
    return len(wanted) != len(found) or not all(map(_fits, *ordered))


def _fits(wanted: FileTensor, found: FileTensor) -> bool:
    return (
        (wanted.name, wanted.kind, len(wanted.shape)) == (found.name, found.kind, len(found.shape))
        and all(size in (ANY, want) for size, want in zip(found.shape, wanted.shape, strict=True))
    )  # fmt: skip

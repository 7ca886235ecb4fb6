"""What every set of pictures on disk shares: numbered PNG files in folders, and a record that says how they were made.

A number counts once the record lists it, which happens last: whatever interrupts a run, no picture is half-made.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Generic, Literal, TypeVar, cast

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict
from typing_extensions import Self

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.files import read_file, write_file
from ...runtime_ref.validation import read_json
from ..rendering.lens import Array


class SetOptions(BaseModel):
    """What decides every picture of a set.

    Attributes:
        size: side of the square pictures in pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int

    def difference(self, other: SetOptions) -> str | None:
        """The first setting in which another set of the same kind differs, in words."""
        for name, mine in self:
            if (theirs := getattr(other, name)) != mine:
                return f"{name} {'none' if mine == '' else mine}, not {'none' if theirs == '' else theirs}"
        return None


class SetRecord(BaseModel, ABC):
    """A set's JSON file; each kind of set adds what it knows of its finished pictures.

    Attributes:
        FILE: its name in the set's folder.
        HOLDS: what it lists, in words; ONE: one of them.
        PLANES: the folders of pictures beside it, and the bits of a value in their files.
        COMMAND: that makes such sets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    FILE: ClassVar[str]
    HOLDS: ClassVar[str]
    ONE: ClassVar[str]
    PLANES: ClassVar[Mapping[str, int]]
    COMMAND: ClassVar[str]

    format: Literal[1] = 1
    settings: SetOptions

    @property
    @abstractmethod
    def finished(self) -> Collection[int]:
        """The numbers whose files are all there."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The record of a set's folder.

        Raises:
            DofkitError: there is none, or none that this version reads.
        """
        mend = f"it is no record of {cls.HOLDS} that this dofkit reads, generate the set again"
        return read_json(folder / cls.FILE, cls, mend)

    def write(self, folder: Path) -> None:
        """Whole or not at all."""
        write_file(folder / self.FILE, self.model_dump_json(indent=1).encode())


Record = TypeVar("Record", bound=SetRecord)
Picture = TypeVar("Picture")


@dataclass(frozen=True)
class PictureSet(ABC, Generic[Record, Picture]):
    """The finished pictures of a folder, in the order of their numbers; files are read only when asked for.

    Attributes:
        KIND: of the record.
        folder: where they lie.
        record: what its JSON file says.

    Raises:
        DofkitError: nothing of the set is finished.
    """

    KIND: ClassVar[type[SetRecord]]

    folder: Path
    record: Record

    def __post_init__(self) -> None:
        if not self.record.finished:
            raise DofkitError(
                f"{self.folder}: no {self.record.ONE} of the set is finished; run `{self.record.COMMAND}` again"
            )

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The set of a folder.

        Raises:
            DofkitError: the folder holds no set, none that this version reads, or nothing of it is finished.
        """
        return cls(folder, cast(Record, cls.KIND.read(folder)))

    @cached_property
    def numbers(self) -> list[int]:
        """Of the finished pictures."""
        return sorted(self.record.finished)

    @abstractmethod
    def of(self, number: int) -> Picture:
        """What the set holds under a number.

        Raises:
            DofkitError: a file is missing, broken, or of another size or kind than the set says.
        """

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Picture:
        """As `of`, by the place among the finished ones."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.of(self.numbers[index])

    def __iter__(self) -> Iterator[Picture]:
        return (self.of(number) for number in self.numbers)

    def plane(self, name: str, number: int) -> Array:
        """The values of one file, [S, S, 3] (8 bits) or [S, S] (16 bits) in [0, 1]; raises as `of` does."""
        path = picture_file(self.folder, name, number)
        mend = f"remove {self.record.FILE} beside its folder and generate the set again"
        return _read_png(path, self.record.PLANES[name], self.record.settings.size, mend)


def resumed(fresh: Record, folder: Path) -> Record:
    """The record that the folder holds; where there is none, its folders of pictures are made and `fresh` is written.

    Raises:
        DofkitError: the folder holds a set of other settings, or cannot be made.
    """
    if not (folder / fresh.FILE).exists():
        try:
            for name in fresh.PLANES:
                (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DofkitError(f"{folder}: cannot be made ({error.strerror}); choose another --out") from error
        fresh.write(folder)
    record = type(fresh).read(folder)
    if difference := record.settings.difference(fresh.settings):
        raise DofkitError(f"{folder} holds a set with {difference}; give the same options or another --out")
    return record


def picture_file(folder: Path, plane: str, number: int) -> Path:
    """Where a set keeps one picture."""
    return folder / plane / f"{number:06d}.png"


def png(values: Array, bits: int) -> bytes:
    """A PNG of [H, W] or [H, W, 3] in [0, 1], of 8 or 16 bits a value."""
    stream = io.BytesIO()
    Image.fromarray(np.round(values * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)).save(stream, "PNG")
    return stream.getvalue()


def contact_sheet(tiles: Sequence[Array]) -> bytes:
    """A PNG of tiles [H, W, 3] of one size, two a row."""
    shown = list(tiles)
    if len(shown) % 2 and len(shown) > 1:
        shown.append(np.ones_like(shown[0]))
    rows = [np.concatenate(shown[start : start + 2], axis=1) for start in range(0, len(shown), 2)]
    return png(np.concatenate(rows), 8)


def _read_png(path: Path, bits: int, side: int, mend: str) -> Array:
    try:
        with Image.open(io.BytesIO(read_file(path))) as image:
            if (image.format, image.mode, image.size) != ("PNG", "RGB" if bits == 8 else "I;16", (side, side)):
                raise DofkitError(f"{path} is not the {side}x{side} PNG of {bits} bits that the set names; {mend}")
            values = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DofkitError(f"{path} cannot be read as a PNG ({error}); {mend}") from error
    return values.astype(np.float32) * np.float32(1 / (2**bits - 1))

"""What a folder of portraits says of itself, so that a stopped batch goes on, and not with other options."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from .rendering import Computed, Look
from .runtime_ref.bundle import MANIFEST, file_sha256
from .runtime_ref.errors import DofkitError
from .runtime_ref.files import read_file, write_file
from .runtime_ref.imageio import FoundPhoto
from .runtime_ref.pipeline.stage import PIPELINE_STAGES
from .train.shipped import SHIPPED, has_weights, weights_file

NAME = "rendered.jsonl"
FORMAT = 1


@dataclass(frozen=True)
class Task:
    """A photo and where its portrait goes."""

    photo: FoundPhoto
    goal: Path

    def __str__(self) -> str:
        return str(self.photo)


@dataclass(frozen=True)
class Options:
    """All that a portrait depends on besides its photo.

    Attributes:
        aperture, predict: of `Look`.
        focus: the point or the disparity in focus, or auto.
        focus_range: disparities held sharp; None: the plan's.
        networks: what computes, by the digest of its files.
    """

    aperture: float
    predict: bool
    focus: str
    focus_range: float | None
    networks: str

    @classmethod
    def of(cls, computed: Computed, look: Look) -> Options:
        """Of a batch."""
        at = look.focus.point or look.focus.disparity
        return cls(
            aperture=look.aperture,
            predict=look.predict,
            focus="auto" if at is None else str(at),
            focus_range=look.focus.half_range,
            networks=_networks(computed),
        )

    def first_difference(self, other: Options) -> str | None:
        """The first option that differs, as "aperture 0.5, not 0.8"."""
        for name, ours in asdict(self).items():
            if ours != (theirs := getattr(other, name)):
                return f"{name.replace('_', ' ')} {theirs}, not {ours}"
        return None


def _networks(computed: Computed) -> str:
    if computed.bundle is not None:
        names = [str(part) for part in (computed.target, computed.precision) if part is not None]
        return " ".join([*names, file_sha256(computed.bundle / MANIFEST)[:16]])
    folder = computed.weights or SHIPPED
    files = [weights_file(stage, folder if has_weights(stage, folder) else SHIPPED) for stage in PIPELINE_STAGES]
    brought = [fingerprint[:16] for fingerprint in computed.brought.fingerprints()]
    return " ".join([*(file_sha256(file)[:16] for file in files), *brought])


class Record:
    """`rendered.jsonl` of a folder: the options, then a line for each photo that is done."""

    def __init__(self, path: Path, done: Collection[str] = ()) -> None:
        self._path, self._done = path, frozenset(done)

    @classmethod
    def open(cls, folder: Path, options: Options, overwrite: bool) -> Record:
        """The record of a folder, begun if need be.

        Raises:
            DofkitError: it is of other options or no record, or the folder cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DofkitError(f"{folder}: cannot be made ({error.strerror}); choose another --out") from error
        path = folder / NAME
        if path.exists() and not overwrite:
            return cls(path, _lines_of(path, options))
        head = {"format": FORMAT, "options": asdict(options)}
        write_file(path, (json.dumps(head) + "\n").encode())
        return cls(path)

    def holds(self, task: Task) -> bool:
        """Whether a photo is done, and its portrait still there, and the photo the same as then."""
        return self._line(task) in self._done and task.goal.is_file()

    def add(self, task: Task) -> None:
        """Note that a photo is done.

        Raises:
            DofkitError: the record cannot be written.
        """
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{self._line(task)}\n")
        except OSError as error:
            raise DofkitError(f"{self._path}: cannot be written ({error.strerror}); make room, and go on") from error

    def _line(self, task: Task) -> str:
        """What says that this photo, as it is now, became that portrait; nothing of a photo that is not there."""
        try:
            state = task.photo.path.stat()
        except OSError:
            return ""
        names = {"photo": task.photo.place.as_posix(), "portrait": task.goal.relative_to(self._path.parent).as_posix()}
        return json.dumps({**names, "bytes": state.st_size, "modified_ns": state.st_mtime_ns})


def _lines_of(path: Path, options: Options) -> list[str]:
    """The lines of photos. What a killed run began to write is ended, so that the next line is one of its own.

    Raises:
        DofkitError: of other options, or of no such record.
    """
    text = read_file(path).decode("utf-8", "replace")
    head, *lines = text.splitlines()
    try:
        before = Options(**json.loads(head)["options"])
    except (ValueError, KeyError, TypeError):
        raise DofkitError(f"{path}: is no record of portraits that this version knows; name another --out") from None
    difference = options.first_difference(before)
    if difference is not None:
        way = "name another --out, or say --overwrite to render them again"
        raise DofkitError(f"{path.parent}: holds portraits of other options ({difference}); {way}")
    if not text.endswith("\n"):
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")
    return lines

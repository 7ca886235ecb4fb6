"""What is killed: commands that write for a while, what must hold of their folder at any moment, and their result."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dofkit.runtime_ref.errors import DofkitError

Result = dict[str, object]
_TINY_TRAINING = ("--seed", "0", "--threads", "1", "--workers", "0", "--batch", "1")


@dataclass(frozen=True)
class Job:
    """A command that is started again and again in one folder until it comes to its end.

    Attributes:
        name: for people.
        arguments: of `dofkit`, with {out} for the folder.
        again: further arguments that make an interrupted run go on.
        sound: raises where the folder holds something half-written under a final name.
        result: what an undisturbed run and an interrupted one must have in common.
        owned: patterns of temporary files and folders of which none may be left when the command has come to its end.
    """

    name: str
    arguments: tuple[str, ...]
    sound: Callable[[Path], None]
    result: Callable[[Path], Result]
    again: tuple[str, ...] = ()
    owned: tuple[str, ...] = (".*.part", ".*.partial-*")

    def command(self, out: Path, started_before: bool) -> list[str]:
        """The arguments of `dofkit`."""
        words = [word.format(out=out) for word in self.arguments]
        return words + (list(self.again) if started_before else [])


def _bundle_is_sound(out: Path) -> None:
    from dofkit.runtime_ref.bundle import Bundle

    if (out / "small.dofbundle").exists():
        Bundle.open(out / "small.dofbundle")


def _bundle_result(out: Path) -> Result:
    from dofkit.runtime_ref.bundle import Bundle

    return {name: entry.sha256 for name, entry in Bundle.open(out / "small.dofbundle").manifest.files.items()}


def _scenes_are_sound(out: Path) -> None:
    """Every picture that the record lists can be read; where nothing is listed yet, nothing is promised."""
    from dofkit.train.data.scene_set import SceneRecord, SceneSet

    if (out / SceneRecord.FILE).exists() and SceneRecord.read(out).finished:
        for _ in SceneSet.open(out):
            pass


def _photos_are_sound(out: Path) -> None:
    """As of scenes."""
    from dofkit.train.data.generated_set import GeneratedRecord, GeneratedSet

    if (out / GeneratedRecord.FILE).exists() and GeneratedRecord.read(out).finished:
        for _ in GeneratedSet.open(out):
            pass


def _same_files(out: Path) -> Result:
    """SHA-256 of every file but hidden ones."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def _training_is_sound(out: Path) -> None:
    """The checkpoint, if there is one, loads; weights that are there are whole."""
    import torch
    from safetensors.numpy import load_file

    if (out / "last.ckpt").exists():
        torch.load(out / "last.ckpt", map_location="cpu", weights_only=True)
    for file in out.glob("*.safetensors"):
        load_file(file)


def _weights(out: Path) -> Result:
    """Every parameter as it was saved: a run that went on gives the bits of one that was never stopped."""
    from safetensors.numpy import load_file

    files = sorted(out.glob("*.safetensors"))
    if not files:
        raise DofkitError(f"{out} holds no weights")
    return {
        f"{file.stem}.{name}": hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
        for file in files
        for name, values in load_file(file).items()
    }


JOBS = (
    Job(
        "export",
        ("export", "--target", "onnx", "--stage", "lens_blur", "--out", "{out}/small.dofbundle"),
        _bundle_is_sound,
        _bundle_result,
    ),
    Job(
        "generate scenes",
        ("generate", "scenes", "--out", "{out}", "--count", "24", "--size", "128", "--truth", "layered"),
        _scenes_are_sound,
        _same_files,
    ),
    Job(
        "generate scenes, two processes",
        (
            "generate",
            "scenes",
            "--out",
            "{out}",
            "--count",
            "16",
            "--size",
            "128",
            "--truth",
            "layered",
            "--workers",
            "2",
        ),
        _scenes_are_sound,
        _same_files,
    ),
    Job(
        "generate argan",
        ("generate", "argan", "--out", "{out}", "--count", "40"),
        _photos_are_sound,
        _same_files,
    ),
    Job(
        "train render",
        (
            *("train", "render", "--out", "{out}", "--size", "64", "--levels", "1", "--steps", "12", "--held-out", "1"),
            *("--checkpoint-every", "2", "--maps", "5", *_TINY_TRAINING),
        ),
        _training_is_sound,
        _weights,
        again=("--resume",),
    ),
    Job(
        "train depth",
        (
            *("train", "depth", "--out", "{out}", "--size", "128", "--steps", "12", "--checkpoint-every", "2"),
            *_TINY_TRAINING,
        ),
        _training_is_sound,
        _weights,
        again=("--resume",),
    ),
)

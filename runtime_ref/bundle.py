"""The bundle: the manifest's schema, and how a bundle is read, verified and written.

The manifest holds all that an app needs and nothing of the machine that wrote it. A bundle is data: nothing in it is
ever executed, and no path in it may leave its folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .errors import DofkitError
from .plan import PipelinePlan
from .stage import Stage
from .target import Precision, Target

MANIFEST = "manifest.json"
SUFFIX = ".dofbundle"
_PARTIAL = ".partial-"


def _inside(path: str) -> str:
    """A POSIX path that stays inside the bundle."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path or "\0" in path:
        raise ValueError(f"path {path!r} leaves the bundle")
    return path


BundlePath = Annotated[str, AfterValidator(_inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Frozen):
    """A file of the bundle: its size in bytes and SHA-256."""

    bytes: int = Field(ge=0)
    sha256: Sha256


class TensorEntry(_Frozen):
    """An input or output of a model as it stands in the file."""

    name: str
    shape: tuple[int, ...]
    dtype: Literal["float32", "float16", "uint8"]
    layout: Literal["NCHW", "NHWC"]
    low: float
    high: float
    meaning: str
    image: Literal["RGB", "GRAYSCALE_FLOAT16"] | None = Field(
        default=None, description="the pixels of a Core ML image (a camera buffer); null: a tensor"
    )

    @property
    def summary(self) -> str:
        """Name, shape and kind in a line, for people; tensors are float32."""
        kind = f"{self.image} image" if self.image else self.layout
        return f"{self.name} {'×'.join(map(str, self.shape))} {kind}"


class LayerEntry(_Frozen):
    """The stored weights of one layer, compared with the PyTorch network's."""

    name: str
    parameters: int
    stored: str = Field(description="how: 'fp32', 'fp16', 'int8', 'int4', 'palette4' …")
    difference: float = Field(description="greatest absolute difference from the folded fp32 weight")
    problem: str = Field(default="", description="empty when every stored value is exactly what it must be")


class ModelEntry(_Frozen):
    """One exported network: a stage for a target in a precision."""

    stage: Stage
    target: Target
    precision: Precision
    path: BundlePath
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    operators: dict[str, int]
    deployment: str = Field(description="the least runtime that loads it, e.g. 'iOS 17'")
    function: str | None = Field(default=None, description="its function in a package that several models share")
    tile: int | None = Field(default=None, description="its input size where it is not the plan's; null: the plan's")
    kept_fp32: tuple[str, ...] = Field(default=(), description="operations that an fp16 model computes in fp32")
    kept_float: tuple[str, ...] = Field(default=(), description="layers that a quantised model leaves in floats")
    layers: tuple[LayerEntry, ...] = Field(default=(), description="its stored weights, where they were compared")

    @property
    def compressed(self) -> tuple[LayerEntry, ...]:
        """The layers whose weights are compressed."""
        return tuple(layer for layer in self.layers if layer.stored not in ("fp32", "fp16"))

    @property
    def has_buffers(self) -> bool:
        """Whether it takes or gives images instead of tensors."""
        return any(tensor.image is not None for tensor in (*self.inputs, *self.outputs))

    @property
    def location(self) -> str:
        """Its file, and its function in it if several models share the file."""
        return f"{self.path}, function {self.function}" if self.function else self.path

    @property
    def storage(self) -> str:
        """How it stores and computes numbers, for people: "palette6, 44 of 47 layers"."""
        parts = [self.precision.value]
        if self.precision.weight_bits is not None and self.layers:
            parts.append(f"{len(self.compressed)} of {len(self.layers)} layers")
        if self.kept_fp32:
            parts.append(f"{len(self.kept_fp32)} operations in fp32")
        return ", ".join(parts)

    @property
    def weight_problems(self) -> tuple[str, ...]:
        """One line for each layer whose stored weights are not the network's; empty when all are."""
        return tuple(f"weights of {layer.name}: {layer.problem}" for layer in self.layers if layer.problem)


class NetworkEntry(_Frozen):
    """The PyTorch network that a stage was exported from."""

    parameters: int
    halo: int | None = Field(description="pixels of the low-resolution side that an output sees; null: the whole photo")
    configuration: dict[str, str | int | float | bool | tuple[int, ...] | tuple[float, ...]]
    weights_sha256: Sha256


class GoldenCase(_Frozen):
    """Inputs and PyTorch fp32 outputs, of every stage and of the whole pipeline, in one safetensors file."""

    name: str
    path: BundlePath
    kind: Literal["photo", "synthetic"]
    focus: float = Field(ge=0, le=1)
    aperture: float = Field(ge=0, le=1)
    note: str


class Manifest(_Frozen):
    """Everything about a bundle, in JSON."""

    schema_version: Literal[2] = 2
    name: str
    conventions: dict[str, str]
    plan: PipelinePlan
    networks: dict[Stage, NetworkEntry]
    models: tuple[ModelEntry, ...]
    golden: tuple[GoldenCase, ...]
    tools: dict[str, str]
    files: dict[BundlePath, FileEntry]
    digest: Sha256 | Literal[""] = Field(default="", description="SHA-256 of this manifest with an empty digest")

    def sealed(self) -> Manifest:
        """The same manifest with its digest filled in."""
        return self.model_copy(update={"digest": _digest(self.model_dump(mode="json"))})

    def encoded(self) -> bytes:
        """The bytes of `manifest.json`."""
        return _canonical(self.model_dump(mode="json"))


def _canonical(document: dict[str, Any]) -> bytes:
    """JSON with sorted keys: equal documents have equal bytes."""
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _digest(document: dict[str, Any]) -> str:
    """SHA-256 of a manifest as it stands, its digest left empty."""
    return hashlib.sha256(_canonical({**document, "digest": ""})).hexdigest()


class Bundle:
    """A bundle on disk whose manifest was read and validated."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest

    @classmethod
    def open(cls, root: Path) -> Bundle:
        """Read and verify a bundle: every file is there, with the size and the hash that the manifest names.

        Raises:
            DofkitError: naming the file that is missing, changed, or not declared.
        """
        bundle = cls(root, _read_manifest(root))
        bundle.verify()
        return bundle

    def verify(self) -> None:
        """Compare every file with the manifest; see `open`."""
        present = {path.relative_to(self.root).as_posix(): path for path in _files(self.root)}
        present.pop(MANIFEST, None)
        for name, entry in self.manifest.files.items():
            path = present.pop(name, None)
            if path is None:
                raise DofkitError(f"{self.root}: {name} is missing; copy or export the bundle again")
            if path.stat().st_size != entry.bytes or file_sha256(path) != entry.sha256:
                raise DofkitError(f"{self.root}: {name} is not the file that was exported; copy or export it again")
        if present:
            raise DofkitError(f"{self.root}: {min(present)} is not in the manifest; remove it or export again")

    def path(self, inside: str) -> Path:
        """A file or package folder of the bundle."""
        return self.root / inside

    def models(self, target: Target | None = None, precision: Precision | None = None) -> list[ModelEntry]:
        """The models of a target and a precision, or of all; one a stage, at the plan's sizes."""
        return [model for model in self._all_models(target, precision) if model.tile is None]

    def other_tiles(self, target: Target | None = None, precision: Precision | None = None) -> list[ModelEntry]:
        """The same models at further tile sizes (functions of a package that they share)."""
        return [model for model in self._all_models(target, precision) if model.tile is not None]

    def _all_models(self, target: Target | None, precision: Precision | None) -> list[ModelEntry]:
        return [
            model
            for model in self.manifest.models
            if target in (None, model.target) and precision in (None, model.precision)
        ]

    def variants(self) -> list[tuple[Target, Precision]]:
        """The (target, precision) pairs in the bundle, in the manifest's order."""
        return list(dict.fromkeys((model.target, model.precision) for model in self.manifest.models))


def _read_manifest(root: Path) -> Manifest:
    if not root.is_dir():
        raise DofkitError(f"{root} is not a bundle: no such folder; write one with `dofkit export --out {root}`")
    path = root / MANIFEST
    if not path.is_file():
        raise DofkitError(f"{root} is not a bundle: it has no {MANIFEST}; write one with `dofkit export`")
    try:
        data = path.read_bytes()
        document = json.loads(data)
        # Judged as it stands in the file, before defaults fill in what an older dofkit did not write.
        whole = (
            isinstance(document, dict) and _canonical(document) == data and document.get("digest") == _digest(document)
        )
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DofkitError(f"{path}: is not a JSON object ({error}); copy or export the bundle again") from error
    if not whole:
        raise DofkitError(f"{path} was changed after the export (its digest does not match); export the bundle again")
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DofkitError(
            f"{path}: {where}: {first['msg']}; it was written by another version, export again"
        ) from error


def _files(root: Path) -> Iterator[Path]:
    """All files below a folder; a link is refused, it could lead out of the bundle."""
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            raise DofkitError(f"{path} is a symbolic link; a bundle holds plain files only")
        if path.is_file():
            yield path


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def describe_files(root: Path) -> dict[str, FileEntry]:
    """The manifest's entry of every file below `root`, the manifest itself left out."""
    return {
        path.relative_to(root).as_posix(): FileEntry(bytes=path.stat().st_size, sha256=file_sha256(path))
        for path in _files(root)
        if path.name != MANIFEST or path.parent != root
    }


def refuse_foreign(goal: Path) -> None:
    """Refuse to write a bundle over something that is not one.

    Raises:
        DofkitError: when the goal exists and is no bundle, or cannot be created.
    """
    if goal.exists() and not (goal / MANIFEST).is_file():
        raise DofkitError(f"{goal} exists and is not a bundle; give another --out, or remove it yourself")
    if not goal.absolute().parent.is_dir():
        raise DofkitError(f"folder {goal.absolute().parent} does not exist; create it or give another --out")


@contextmanager
def new_bundle(goal: Path) -> Iterator[Path]:
    """A temporary folder beside the goal that becomes the goal when the block ends without an error.

    An interrupted block leaves no goal; a killed process leaves a hidden `.NAME.partial-PID`, which the next export to
    the same goal removes. An older bundle at the goal is replaced, and only at the very end.
    """
    refuse_foreign(goal)
    goal = goal.absolute()
    for stale in goal.parent.glob(f".{goal.name}{_PARTIAL}*"):
        if not _is_running(stale.name.rpartition("-")[2]):
            shutil.rmtree(stale, ignore_errors=True)
    folder = goal.parent / f".{goal.name}{_PARTIAL}{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        raise DofkitError(f"cannot write to {goal.parent} ({error.strerror}); give another --out") from error
    try:
        yield folder
        _replace(folder, goal)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace(folder: Path, goal: Path) -> None:
    """Move the finished folder to the goal; an older bundle there steps aside first and is then removed."""
    if not goal.exists():
        folder.rename(goal)
        return
    old = folder.with_name(folder.name + "-old")
    goal.rename(old)
    folder.rename(goal)
    shutil.rmtree(old, ignore_errors=True)


def _is_running(pid: str) -> bool:
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

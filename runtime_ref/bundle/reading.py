"""A bundle on disk: read, and every file of it verified. It is data: nothing in it is ever executed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from ..errors import DofkitError
from ..target import Precision, Target
from ..validation import invalid
from .manifest import MANIFEST, FileEntry, Manifest, ModelEntry, canonical, digest_of

_OLDER = (1, 2, 3)  # up to 3 the depth network's input and the maps of levels were resampled in another way


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
        return [m for m in self._all_models(target, precision) if m.tile is None and m.depth_size is None]

    def further_depths(self, target: Target | None = None, precision: Precision | None = None) -> list[ModelEntry]:
        """The depth network at the plan's further sizes."""
        return [model for model in self._all_models(target, precision) if model.depth_size is not None]

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
            isinstance(document, dict) and canonical(document) == data and document.get("digest") == digest_of(document)
        )
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DofkitError(f"{path}: is not a JSON object ({error}); copy or export the bundle again") from error
    if not whole:
        raise DofkitError(f"{path} was changed after the export (its digest does not match); export the bundle again")
    if document.get("schema_version") in _OLDER:
        raise DofkitError(
            f"{path}: an older dofkit wrote it (schema_version {document['schema_version']}), whose steps around the "
            "networks were others; export again"
        )
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise invalid(path, error, "it was written by another version, export again") from error


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

"""A kit on disk: a platform's sources with one bundle's files in the places where the app looks for them.

A kit is an app's source from then on. What was changed in it is never written over.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..runtime_ref.bundle import MANIFEST, Bundle, ModelEntry, file_sha256, new_folder
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.files import write_json
from ..runtime_ref.pipeline.stage import Stage
from ..runtime_ref.target import Precision, Target
from .platform import Platform
from .preview_cases import write_preview_cases

MARK = "kit.json"
# What building a kit leaves in it, at any depth.
_BUILT = {"node_modules", "package-lock.json", "build", ".gradle", ".build", ".swiftpm", "Package.resolved"}


@dataclass(frozen=True)
class KitRequest:
    """What is to be written.

    Attributes:
        bundle: folder of the bundle.
        platform: whose kit.
        out: the kit's folder.
        target: files of this target only.
        precision: files of this precision only.
    """

    bundle: Path
    platform: Platform
    out: Path
    target: Target | None = None
    precision: Precision | None = None


@dataclass(frozen=True)
class WrittenKit:
    """What was written.

    Attributes:
        models: the bundle's models in it.
        files: how many files.
        bytes: all of them.
        shipped: bytes of manifest and models, which the app carries.
    """

    models: tuple[ModelEntry, ...]
    files: int
    bytes: int
    shipped: int


def write_kit(request: KitRequest) -> WrittenKit:
    """Write a kit whole or not at all; one that was written before and not changed since is replaced.

    Raises:
        DofkitError: the bundle is damaged or lacks what the platform runs; the folder is no kit, or was changed.
    """
    bundle, platform = Bundle.open(request.bundle), request.platform
    # A kit has the map before a slider moves: it runs the preview that takes one.
    models = [model for model in chosen_models(bundle, request) if model.stage is not Stage.PHOTO_PREVIEW]
    _refuse_foreign(request.out)
    with new_folder(request.out) as folder:
        _copy_sources(platform.sources, folder)
        place_models(bundle, models, folder / platform.places.models)
        for case in (*bundle.manifest.golden, *bundle.manifest.steps):
            _copy(bundle.path(case.path), folder / platform.places.golden / case.path)
        write_preview_cases(bundle, models, folder / platform.places.golden)
        files = sorted(path.relative_to(folder) for path in _files(folder))
        sizes = {path: (folder / path).stat().st_size for path in files}
        written = {path.as_posix(): file_sha256(folder / path) for path in files}
        write_json(folder / MARK, {"platform": platform.value, "bundle": bundle.manifest.name, "files": written})
    carried = [folder / platform.places.models / path for path in (MANIFEST, *(model.path for model in models))]
    shipped = sum(size for path, size in sizes.items() if _lies_in(folder / path, carried))
    return WrittenKit(tuple(models), len(files), sum(sizes.values()), shipped)


def chosen_models(bundle: Bundle, request: KitRequest) -> list[ModelEntry]:
    """The bundle's models that the request's platform runs.

    Raises:
        DofkitError: there are none, or a stage is missing.
    """
    targets = [request.target] if request.target else list(request.platform.places.targets)
    models = [
        model
        for model in bundle.manifest.models
        if model.target in targets and model.target in request.platform.places.targets
        and request.precision in (None, model.precision)
    ]  # fmt: skip
    if not {model.stage for model in models} >= set(bundle.manifest.networks):
        wanted = " or ".join(f"--target {target}" for target in request.platform.places.targets)
        precision = f" --precision {request.precision}" if request.precision else ""
        raise DofkitError(
            f"{bundle.root}: has no complete set of models for {request.platform.title}; "
            f"export it with {wanted}{precision}"
        )
    return models


def place_models(bundle: Bundle, models: Sequence[ModelEntry], folder: Path) -> None:
    """Copy models, and the manifest with no others in it: a bundle again, where the cases lie beside it."""
    paths = {model.path for model in models}
    kept = [*paths, *(case.path for case in (*bundle.manifest.golden, *bundle.manifest.steps))]
    files = {
        name: entry
        for name, entry in bundle.manifest.files.items()
        if any(name == path or name.startswith(f"{path}/") for path in kept)
    }
    for path in paths:
        _copy(bundle.path(path), folder / path)
    manifest = bundle.manifest.model_copy(update={"models": tuple(models), "files": files})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_bytes(manifest.sealed().encoded())


def _refuse_foreign(out: Path) -> None:
    """Refuse to write over something that is no kit, or one that somebody works on.

    Raises:
        DofkitError: it is, or there is no folder to write to.
    """
    if not out.absolute().parent.is_dir():
        raise DofkitError(f"folder {out.absolute().parent} does not exist; create it or give another --out")
    if not out.exists():
        return
    try:
        known: dict[str, str] = json.loads((out / MARK).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise DofkitError(f"{out} exists and is not a kit; give another --out, or remove it yourself") from None
    there = {path.relative_to(out).as_posix(): path for path in _files(out)}
    there.pop(MARK)
    changed = [name for name, path in there.items() if known.get(name) != file_sha256(path)]
    if changed:
        raise DofkitError(f"{out} was changed since it was written ({min(changed)}); give another --out, or remove it")


def _copy_sources(sources: Path, folder: Path) -> None:
    for path in _files(sources):
        _copy(path, folder / path.relative_to(sources))


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder but those that building leaves."""
    for path in sorted(folder.iterdir()):
        if path.name in _BUILT or path.name == "__pycache__":
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        else:
            yield path


def _copy(path: Path, goal: Path) -> None:
    """A file, or a folder with all that is in it."""
    goal.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if path.is_dir() else shutil.copyfile)(path, goal)


def _lies_in(path: Path, places: Sequence[Path]) -> bool:
    return any(path == place or place in path.parents for place in places)

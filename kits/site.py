"""The web demo as a folder of files that any web server can serve: page, pipeline, runtime, one bundle's models."""

from __future__ import annotations

import hashlib
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from ..runtime_ref.bundle import Bundle, new_folder
from ..runtime_ref.bundle.golden import read_golden
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.files import write_file, write_json
from ..runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from ..runtime_ref.target import Precision, Target
from .platform import Platform
from .writing import KitRequest, chosen_models, place_models

DEMO = Path(__file__).with_name("demo")
FILES = "files.json"
_PLACE = "place.json"
_VERSION = "of the files"  # what stands for it in `demo/sw.js`
# What each runtime's page loads, as the npm packages have it -> where it lies in the site.
RUNTIMES = MappingProxyType(
    {
        Target.ONNX: {
            "onnxruntime-web/dist/ort.wasm.min.mjs": "runtime/onnx/",
            "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs": "runtime/onnx/",
            "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm": "runtime/onnx/",
            "onnxruntime-web/dist/ort.webgpu.min.mjs": "runtime/onnx/",
            "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.mjs": "runtime/onnx/",
            "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm": "runtime/onnx/",
        },
        Target.TFLITE: {
            "@litertjs/core/dist/index.js": "runtime/litert/dist/",
            "@litertjs/core/wasm": "runtime/litert/wasm/",
            "@litertjs/wasm-utils/dist": "runtime/wasm-utils/dist/",
        },
    }
)
_COMPUTED = frozenset({*PIPELINE_STAGES, Stage.PREVIEW})  # by the page, of what a bundle may have
_KINDS = MappingProxyType({Target.ONNX: "onnx", Target.TFLITE: "litert"})


@dataclass(frozen=True)
class SiteRequest:
    """What the demo is made of.

    Attributes:
        bundle: folder of the bundle.
        packages: folder of the runtimes' npm packages (`node_modules`).
        target: whose files compute. Default: ONNX where the bundle has them, else TFLite.
        precision: of the files. Default: the first in the bundle.
    """

    bundle: Path
    packages: Path
    target: Target | None = None
    precision: Precision | None = None


def write_site(request: SiteRequest, out: Path) -> int:
    """Write the demo whole or not at all; an older one there is replaced. Devices keep it and need no network then.

    Returns:
        Bytes of all files.

    Raises:
        DofkitError: the bundle is damaged or lacks files for the web; the folder is something else.
    """
    if out.exists() and not (out / FILES).is_file():
        raise DofkitError(f"{out} exists and is no demo; give another --out, or remove it yourself")
    if not out.absolute().parent.is_dir():
        raise DofkitError(f"folder {out.absolute().parent} does not exist; create it or give another --out")
    with new_folder(out) as folder:
        fill_site(request, folder, offline=True)
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def fill_site(request: SiteRequest, folder: Path, offline: bool = False) -> None:
    """Fill an empty folder.

    Args:
        request: what the demo is made of.
        folder: where.
        offline: whether devices are to keep it. What a machine serves to itself is better had anew.

    Raises:
        DofkitError: the bundle is damaged or lacks files for the web.
    """
    bundle = Bundle.open(request.bundle)
    target = request.target or _first_target(bundle)
    models = chosen_models(bundle, KitRequest(request.bundle, Platform.WEB, folder, target, request.precision))
    models = [model for model in models if model.precision is models[0].precision and model.stage in _COMPUTED]
    shutil.copytree(DEMO, folder, dirs_exist_ok=True)
    shutil.copytree(Platform.WEB.sources / "portrait", folder / "portrait")
    place_models(bundle, models, folder / "bundle")
    for name, goal in RUNTIMES[target].items():
        _copy_into(request.packages / name, folder / goal)
    example = _example(bundle)
    if example is not None:
        write_file(folder / "example.jpg", example)
    place = {
        "kind": _KINDS[target],
        "bundle": "bundle/",
        "runtime": f"runtime/{_KINDS[target]}/",
        "example": "example.jpg" if example is not None else None,
        "offline": offline,
    }
    write_json(folder / _PLACE, place)
    _list_files(folder)


def _first_target(bundle: Bundle) -> Target:
    there = {model.target for model in bundle.manifest.models}
    return next((target for target in Platform.WEB.places.targets if target in there), Target.ONNX)


def _copy_into(path: Path, folder: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, folder, dirs_exist_ok=True)
        return
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / path.name)


def _example(bundle: Bundle) -> bytes | None:
    """The photo of the first golden case that has one, as a JPEG."""
    for case in bundle.manifest.golden:
        if case.kind == "photo":
            encoded = io.BytesIO()
            Image.fromarray(read_golden(bundle.path(case.path)).photo).save(encoded, "JPEG", quality=92)
            return encoded.getvalue()
    return None


def _list_files(folder: Path) -> None:
    """Write what a device keeps, and into the script that keeps it a version that changes with any file."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0".encode() + hashlib.sha256((folder / name).read_bytes()).digest())
    script = folder / "sw.js"
    script.write_text(script.read_text("utf-8").replace(_VERSION, digest.hexdigest()[:16]), "utf-8")
    write_json(folder / FILES, ["./", *(name for name in names if name != script.name)])

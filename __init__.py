"""dofkit: train, export, prove and measure portrait-mode (shallow depth-of-field) networks on device.

For Python programs:

    import dofkit

    photo = dofkit.read_photo("photo.jpg")
    pipeline = dofkit.open_pipeline("portrait.dofbundle", target="tflite")
    dofkit.write_photo("portrait.jpg", pipeline.portrait(photo.pixels, aperture=0.8), like=photo)

    report = dofkit.check_bundle("portrait.dofbundle")
    assert report.verdict == "PASS"

What is named in `__all__` is imported when it is used: `import dofkit` itself imports nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .api import open_pipeline
    from .devices.bench import bench_bundle
    from .export.checking import check_bundle
    from .export.pipeline import ExportRequest, export_bundle
    from .runtime_ref.errors import DofkitError
    from .runtime_ref.imageio import (
        DisparityKind,
        Keep,
        Photo,
        disparity_for,
        embedded_disparity,
        read_disparity,
        read_photo,
        write_disparity,
        write_photo,
    )
    from .runtime_ref.pipeline.focus import Focus
    from .runtime_ref.pipeline.portrait import Lens, PortraitPipeline
    from .runtime_ref.target import Precision, Target


__all__ = [
    "DisparityKind",
    "DofkitError",
    "ExportRequest",
    "Focus",
    "Keep",
    "Lens",
    "Photo",
    "PortraitPipeline",
    "Precision",
    "Target",
    "bench_bundle",
    "check_bundle",
    "disparity_for",
    "embedded_disparity",
    "export_bundle",
    "open_pipeline",
    "read_disparity",
    "read_photo",
    "write_disparity",
    "write_photo",
]

# name -> module below dofkit that has it
_HOMES = {
    "open_pipeline": "api",
    "bench_bundle": "devices.bench",
    "check_bundle": "export.checking",
    "ExportRequest": "export.pipeline",
    "export_bundle": "export.pipeline",
    "DofkitError": "runtime_ref.errors",
    "DisparityKind": "runtime_ref.imageio",
    "Keep": "runtime_ref.imageio",
    "Photo": "runtime_ref.imageio",
    "disparity_for": "runtime_ref.imageio",
    "embedded_disparity": "runtime_ref.imageio",
    "read_disparity": "runtime_ref.imageio",
    "read_photo": "runtime_ref.imageio",
    "write_disparity": "runtime_ref.imageio",
    "write_photo": "runtime_ref.imageio",
    "Focus": "runtime_ref.pipeline.focus",
    "Lens": "runtime_ref.pipeline.portrait",
    "PortraitPipeline": "runtime_ref.pipeline.portrait",
    "Precision": "runtime_ref.target",
    "Target": "runtime_ref.target",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

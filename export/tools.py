"""The versions that a manifest names."""

from __future__ import annotations

import importlib.metadata

from .. import __version__

# Packages whose versions decide the bytes of a bundle.
TOOLS = (
    "torch",
    "coremltools",
    "litert-torch",
    "ai-edge-quantizer",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "ai-edge-litert",
    "coreai-core",
    "coreai-torch",
)


def tool_versions() -> dict[str, str]:
    """Of dofkit and of those that are installed."""
    versions = {"dofkit": __version__}
    for name in TOOLS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # a target that was not asked for
    return versions

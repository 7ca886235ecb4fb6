"""The bundle: manifest, reading, writing, golden cases (`golden`). What differs between two: `parity.bundle_diff`."""

from .manifest import (
    MANIFEST,
    SUFFIX,
    FileEntry,
    GoldenCase,
    LayerEntry,
    Manifest,
    ModelEntry,
    NetworkEntry,
    TensorEntry,
)
from .reading import Bundle, describe_files, file_sha256
from .writing import new_bundle, new_folder, refuse_foreign

__all__ = [
    "MANIFEST",
    "SUFFIX",
    "Bundle",
    "FileEntry",
    "GoldenCase",
    "LayerEntry",
    "Manifest",
    "ModelEntry",
    "NetworkEntry",
    "TensorEntry",
    "describe_files",
    "file_sha256",
    "new_bundle",
    "new_folder",
    "refuse_foreign",
]

"""The bundle: manifest, reading, writing, golden cases (`golden`). What differs between two: `parity.bundle_diff`."""

from .manifest import (
    MANIFEST,
    SCHEMA,
    SUFFIX,
    FileEntry,
    GoldenCase,
    LayerEntry,
    Manifest,
    ModelEntry,
    NetworkEntry,
    StepCase,
    TensorEntry,
    manifest_schema,
)
from .reading import Bundle, describe_files, file_sha256
from .writing import new_bundle, new_folder, refuse_foreign

__all__ = [
    "MANIFEST",
    "SCHEMA",
    "SUFFIX",
    "Bundle",
    "FileEntry",
    "GoldenCase",
    "LayerEntry",
    "Manifest",
    "ModelEntry",
    "NetworkEntry",
    "StepCase",
    "TensorEntry",
    "describe_files",
    "file_sha256",
    "manifest_schema",
    "new_bundle",
    "new_folder",
    "refuse_foreign",
]

"""What a model says of itself: the fields that Xcode shows, and keys for machines."""

from __future__ import annotations

from pathlib import Path

from ..labels import Stamp
from .tools import write_metadata

DEPLOYMENT = "iOS 27, macOS 27"


def stamp_asset(asset: Path, stamp: Stamp) -> None:
    """What the model says of itself; Xcode shows these fields."""
    own = {"author": stamp.author, "license": stamp.licence}
    said = {name: text for name, text in own.items() if text} | {"description": stamp.description}
    version = {"version": stamp.version} if stamp.version else {}
    write_metadata(asset, {**said, "creatorDefinedMetadata": {**stamp.keys, **version}})

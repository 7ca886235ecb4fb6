"""Finished scores on disk: a killed evaluation goes on where it stopped, a changed method is computed anew."""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...runtime_ref.files import write_file
from .methods import DisparitySource, Method, digest
from .scores import Bytes, Scores

FORMAT = 1
"""Raised when a score means something else than before."""


@dataclass(frozen=True)
class Partials:
    """One JSON file a result, and perhaps a PNG beside it that the report shows.

    Attributes:
        folder: where they lie.
    """

    folder: Path

    def file(self, start: str, name: str, key: str) -> Path:
        """Where a result is kept: `key` stands for all that it depends on, so what changed is not found again."""
        return self.folder / f"{start}-{_slug(name)}-{key}.json"

    @staticmethod
    def values(path: Path) -> dict[str, Any] | None:
        """What a file holds, or None when it is not there (or damaged)."""
        try:
            found = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    @staticmethod
    def keep(path: Path, values: dict[str, Any], picture: Bytes | None) -> None:
        """Write values and, where the report shows it, a picture [h, w, 3] or [h, w]; the values last."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if picture is not None:
            encoded = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(picture)).save(encoded, "PNG")
            write_file(path.with_suffix(".png"), encoded.getvalue())
        write_file(path, json.dumps(values).encode())

    @staticmethod
    def crop(path: Path) -> Bytes | None:
        """The picture [h, w, 3] beside the values, or None."""
        try:
            with Image.open(path.with_suffix(".png")) as image:
                return np.asarray(image.convert("RGB"))
        except OSError:
            return None


@dataclass(frozen=True)
class PartialStore(Partials):
    """The scores of rendered pictures, and the crop that the report shows.

    The file's name holds a digest of the scene, the method and the disparity.
    """

    def path(self, scene: int, scene_digest: str, method: Method, kind: DisparitySource) -> Path:
        """Where a picture's scores are kept."""
        key = digest(FORMAT, scene_digest, method.name, method.fingerprint, kind)
        return self.file(f"{scene:06d}", method.name, f"{kind}-{key}")

    @classmethod
    def read(cls, path: Path) -> Scores | None:
        """The scores, or None when they are not there (or the file is damaged)."""
        try:
            values = cls.values(path)
            return None if values is None else Scores.from_json(values)
        except (TypeError, KeyError):
            return None

    @classmethod
    def write(cls, path: Path, scores: Scores, crop: Bytes | None) -> None:
        """Keep scores and, where the report shows it, the crop [h, w, 3] of the picture."""
        cls.keep(path, asdict(scores), crop)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "method"

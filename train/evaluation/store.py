"""Finished scores on disk: a killed evaluation goes on where it stopped, a changed method is computed anew."""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ...runtime_ref.files import write_file
from .methods import DisparityKind, Method, digest
from .scores import Bytes, Scores

FORMAT = 1
"""Raised when a score means something else than before."""


@dataclass(frozen=True)
class PartialStore:
    """One JSON file a picture scored, and a PNG of the crop that the report shows.

    The file's name holds a digest of the scene, the method and the disparity: what changed is not found again.

    Attributes:
        folder: where they lie.
    """

    folder: Path

    def path(self, scene: int, scene_digest: str, method: Method, kind: DisparityKind) -> Path:
        """Where a picture's scores are kept."""
        key = digest(FORMAT, scene_digest, method.name, method.fingerprint, kind)
        return self.folder / f"{scene:06d}-{_slug(method.name)}-{kind}-{key}.json"

    @staticmethod
    def read(path: Path) -> Scores | None:
        """The scores, or None when they are not there (or the file is damaged)."""
        try:
            return Scores.from_json(json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    @staticmethod
    def write(path: Path, scores: Scores, crop: Bytes | None) -> None:
        """Keep scores and, where the report shows it, the crop [h, w, 3] of the picture."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if crop is not None:
            encoded = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(crop)).save(encoded, "PNG")
            write_file(path.with_suffix(".png"), encoded.getvalue())
        write_file(path, json.dumps(asdict(scores)).encode())

    @staticmethod
    def crop(path: Path) -> Bytes | None:
        """The crop beside the scores, or None."""
        try:
            with Image.open(path.with_suffix(".png")) as image:
                return np.asarray(image.convert("RGB"))
        except OSError:
            return None


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "method"

"""How a depth network is named and what is said of it, as texts, for other processes, too. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.pipeline.aspects import Size

if TYPE_CHECKING:
    from .networks import Brought

NORMALISATIONS = {"none": "PLAIN", "imagenet": "IMAGENET", "half": "HALVES"}
"""What a network may want done to RGB in [0, 1] -> its name in `families`."""


def said_on_stderr(line: str) -> None:
    """Say a line where people see it and programs do not read it."""
    print(f"dofkit: {line}", file=sys.stderr)


@dataclass(frozen=True)
class DepthModelName:
    """A depth network as the command line names it.

    Attributes:
        model: a name on the hub, a folder or a file.
        kind: what it gives, see `kinds.DepthKind`; None: as is known of its class.
        normalisation: one of NORMALISATIONS; None: as its folder says, else none.
        size: (height, width) in pixels, of classes of which it is not known.
    """

    model: str
    kind: str | None = None
    normalisation: str | None = None
    size: Size | None = None

    def fingerprint(self) -> str:
        """It changes with the name, with what is said of it, and with the files where they lie here."""
        from ...runtime_ref.bundle import file_sha256

        path, parts = Path(self.model), [repr(astuple(self))]
        files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path] if path.is_file() else []
        parts += [file_sha256(file) for file in files]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def open(self, say: Callable[[str], None] = said_on_stderr) -> Brought:
        """The network; see `opening.open_depth_model`.

        Args:
            say: called with a line before anything is downloaded.

        Raises:
            DofkitError: it cannot be opened.
        """
        from . import families
        from .hub import ModelFacts
        from .kinds import depth_kind
        from .opening import open_depth_model

        if self.normalisation is not None and self.normalisation not in NORMALISATIONS:
            names = ", ".join(NORMALISATIONS)
            raise DofkitError(
                f"--depth-normalisation {self.normalisation}: there is none of this name; there are {names}"
            )
        preprocessing = getattr(families, NORMALISATIONS[self.normalisation]) if self.normalisation else None
        asked = ModelFacts(depth_kind(self.kind) if self.kind else None, self.size, preprocessing)
        return open_depth_model(self.model, asked, say)

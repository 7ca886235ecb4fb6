"""How a depth network is named and what is said of it, as texts, for other processes, too. Imports nothing heavy."""

from __future__ import annotations

import glob
import hashlib
import sys
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.pipeline.aspects import Size
from ...runtime_ref.pipeline.stage import Stage

if TYPE_CHECKING:
    from .networks import Brought

NORMALISATIONS = {"none": "PLAIN", "imagenet": "IMAGENET", "half": "HALVES"}
"""What a network may want done to RGB in [0, 1] -> its name in `families`."""


OPTIONS = {
    Stage.DEPTH: "--depth-model",
    Stage.LENS_BLUR: "--lens-blur-model",
    Stage.GUIDED_UPSAMPLING: "--upsampling-model",
}
"""The stages whose network may be brought, and by which option."""


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
        # Tensors of large ONNX files lie beside them, under names that begin alike.
        beside = sorted(path.parent.glob(f"{glob.escape(path.name)}[._]data*"))
        files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path, *beside] if path.is_file() else []
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


@dataclass(frozen=True)
class StageModelName:
    """A rendering network as the command line names it.

    Attributes:
        stage: that it is to compute.
        model: a `.pt2` of torch.export, or the name of a network that an installed package brings.
    """

    stage: Stage
    model: str

    def fingerprint(self) -> str:
        """It changes with the name, and with the file or the version of the package."""
        from ...runtime_ref.bundle import file_sha256
        from .plugins import package_of

        path = Path(self.model)
        state = file_sha256(path) if path.is_file() else package_of(self.model)
        return hashlib.sha256("\n".join([self.stage.value, self.model, state]).encode()).hexdigest()

    def open(self) -> Brought:
        """The network; see `stage_models.open_stage_model`.

        Raises:
            DofkitError: it cannot be opened, or is not of its stage.
        """
        from .stage_models import open_stage_model

        try:
            return open_stage_model(self.model, self.stage)
        except DofkitError as error:
            raise DofkitError(f"{OPTIONS[self.stage]} {error}") from error


@dataclass(frozen=True)
class NetworkNames:
    """The networks that were brought, as the command line names them.

    Attributes:
        depth: None: dofkit's own.
        rendering: of the rendering stages, at most one for each.
    """

    depth: DepthModelName | None = None
    rendering: tuple[StageModelName, ...] = ()

    @classmethod
    def of(
        cls, depth: DepthModelName | str | None = None, lens_blur: str | None = None, upsampling: str | None = None
    ) -> NetworkNames:
        """Of what the options of a stage each name; None: nothing."""
        rendering = ((Stage.LENS_BLUR, lens_blur), (Stage.GUIDED_UPSAMPLING, upsampling))
        return cls(
            DepthModelName(depth) if isinstance(depth, str) else depth,
            tuple(StageModelName(stage, model) for stage, model in rendering if model is not None),
        )

    def __bool__(self) -> bool:
        return self.depth is not None or bool(self.rendering)

    def of_stage(self, stage: Stage) -> DepthModelName | StageModelName | None:
        """The one of a stage."""
        if stage is Stage.DEPTH:
            return self.depth
        return next((each for each in self.rendering if each.stage is stage), None)

    def fingerprints(self) -> list[str]:
        """Of all of them."""
        return [each.fingerprint() for each in (self.depth, *self.rendering) if each is not None]

    def open(self) -> dict[Stage, Brought]:
        """Stage -> the network that was brought for it.

        Raises:
            DofkitError: one cannot be opened.
        """
        found = {} if self.depth is None else {Stage.DEPTH: self.depth.open()}
        return found | {each.stage: each.open() for each in self.rendering}

"""The platforms that there are kits for, and where each kit keeps what comes from a bundle."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ..runtime_ref.enums import TitledEnum
from ..runtime_ref.target import Target

_SOURCES = Path(__file__).parent


class Platform(TitledEnum):
    """What an app runs on; the value is its name on the command line and of its sources' folder."""

    WEB = "web", "the web"

    @property
    def sources(self) -> Path:
        """The folder of its hand-kept sources."""
        return _SOURCES / self.value

    @property
    def targets(self) -> tuple[Target, ...]:
        """The files that its runtimes open."""
        return {Platform.WEB: (Target.ONNX, Target.TFLITE)}[self]

    @property
    def models_folder(self) -> PurePosixPath:
        """Where the app finds manifest and models, from the kit's root."""
        return {Platform.WEB: PurePosixPath("bundle")}[self]

    @property
    def golden_folder(self) -> PurePosixPath:
        """Where its test finds the golden cases; they do not ship with the app."""
        return {Platform.WEB: PurePosixPath("bundle")}[self]

    @property
    def next_step(self) -> str:
        """The command, in the kit's folder, that shows that it works."""
        return {Platform.WEB: "npm install && npm test && npm start"}[self]

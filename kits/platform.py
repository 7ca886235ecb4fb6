"""The platforms that there are kits for, and where each kit keeps what comes from a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..runtime_ref.enums import TitledEnum
from ..runtime_ref.target import Target

_SOURCES = Path(__file__).parent


class Platform(TitledEnum):
    """What an app runs on; the value is its name on the command line and of its sources' folder."""

    IOS = "ios", "iOS"
    ANDROID = "android", "Android"
    WEB = "web", "the web"

    @property
    def sources(self) -> Path:
        """The folder of its hand-kept sources."""
        return _SOURCES / self.value

    @property
    def places(self) -> KitPlaces:
        """What its kit takes of a bundle, and where it keeps it."""
        return _PLACES[self]


@dataclass(frozen=True)
class KitPlaces:
    """What a kit takes of a bundle, and where it keeps it.

    Attributes:
        targets: the files that its runtimes open.
        models: where the app finds manifest and models, from the kit's root.
        golden: where its test finds golden cases and step cases; they need not ship with the app.
        next_step: the command, in the kit's folder, that shows that it works.
    """

    targets: tuple[Target, ...]
    models: PurePosixPath
    golden: PurePosixPath
    next_step: str


_PLACES = {
    Platform.IOS: KitPlaces(
        (Target.COREML, Target.COREAI),
        PurePosixPath("Sources/PortraitKit/Bundle"),
        PurePosixPath("Golden"),
        "swift run -c release StepCases",
    ),
    Platform.ANDROID: KitPlaces(
        (Target.TFLITE,),
        PurePosixPath("portrait/src/main/assets/portrait"),
        PurePosixPath("portrait/src/test/resources/portrait"),
        "gradle :portrait:test",
    ),
    Platform.WEB: KitPlaces(
        (Target.ONNX, Target.TFLITE),
        PurePosixPath("bundle"),
        PurePosixPath("bundle"),
        "npm install && npm test && npm start",
    ),
}

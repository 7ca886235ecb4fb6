"""One AR-GAN run as a file: what the generator is, which constraints teach it depth, how it is trained.

Files lie in `train/configs/`; `load_config` reads those by name and any other by path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..runtime_ref.errors import DofkitError
from ..runtime_ref.files import read_toml
from ..runtime_ref.validation import invalid

CONFIGS = Path(__file__).parent / "configs"

Mixture = Literal["none", "uniform", "bernoulli"]
Viewpoint = Literal["none", "rgbd", "hologan"]
Norm = Literal["pixel", "instance"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PriorSettings(_Part):
    """The centre focus prior: in focus within a circle in the middle, ever farther behind outside.

    It says which side is behind, which blur alone leaves open. Held for long it keeps the depth round; let go early
    (weight 3, 0.06 after 30 % of 2,000 steps) depth was found less well, see docs/journal.md.

    Attributes:
        weight: of the mean squared distance from it, both as shares of the largest defocus; 0 is no prior.
        radius: of the circle, in units of half the picture's side.
        gain: defocus behind the focus, as a share of the largest, per unit of distance from the circle.
        hold: share of the run with the full weight.
        release: share of the run after which the weight has fallen to `floor` of itself, linearly.
        floor: share of the weight that stays.
    """

    weight: float = Field(default=10.0, ge=0)
    radius: float = Field(default=0.5, ge=0)
    gain: float = Field(default=0.8, ge=0)
    hold: float = Field(default=0.1, ge=0, le=1)
    release: float = Field(default=0.6, ge=0, le=1)
    floor: float = Field(default=0.02, ge=0, le=1)


class ViewpointSettings(_Part):
    """The other cue to depth: the same scene from other viewpoints.

    Attributes:
        kind: none, a generator without viewpoints; rgbd, one that is told the pose and whose pictures must warp into
            one another by their depth (RGBD-GAN); hologan, one that turns a volume of features (HoloGAN).
        azimuth, elevation: degrees to either side within which poses are drawn, uniformly; 0 and 0 turn the cue off.
        consistency: weight of the warping loss of rgbd. At 32 pixels after 500 steps depth tilts with the pose nearly
            half as much as a plane would with 10, a thirtieth as much with 1.
        identity: weight of the mean squared error of z as the discriminator reads it from hologan's pictures.
    """

    kind: Viewpoint = "none"
    azimuth: float = Field(default=10.0, ge=0, le=45)
    elevation: float = Field(default=5.0, ge=0, le=45)
    consistency: float = Field(default=10.0, ge=0)
    identity: float = Field(default=1.0, ge=0)

    @property
    def reach(self) -> tuple[float, float]:
        """Azimuth and elevation in degrees."""
        return self.azimuth, self.elevation


class ArganConfig(_Part):
    """An AR-GAN and its training.

    Attributes:
        size: side of the pictures in pixels.
        width, discriminator_width: channels at the largest size.
        norm: what the generator normalises before z styles it: the channels of a pixel, or each map (AdaIN).
        reach: largest defocus as a share of the side.
        views: of the aperture, a side; 1 is a pinhole, which turns the cue of the depth of field off.
        expansion: whether T corrects the views' defocus.
        mixture: p(s), s scales the defocus of every picture: uniform on [0, 1], bernoulli 0 or 1, none always 1.
        prior: of the depth.
        viewpoint: how the scene is seen from other sides.
        augment: differentiable augmentation of what the discriminator sees, for small sets.
        penalty: γ of R1, on pictures in [0, 1]. With 1 the discriminator stays near chance; with 0.2 and each map
            normalised, samples had twice as much depth of their own after 2,000 steps, see docs/journal.md.
        penalty_every: steps between two penalties, whose weight grows by as much.
        generator_rate, discriminator_rate: learning rates of Adam.
        batch: pictures a step.
    """

    size: Literal[32, 64, 128] = 64
    width: int = Field(default=24, ge=4, le=128)
    discriminator_width: int = Field(default=48, ge=4, le=128)
    norm: Norm = "pixel"
    reach: float = Field(default=0.08, gt=0, le=0.25)
    views: int = Field(default=5, ge=1, le=9)
    expansion: bool = True
    mixture: Mixture = "uniform"
    prior: PriorSettings = PriorSettings()
    viewpoint: ViewpointSettings = ViewpointSettings()
    augment: bool = False
    penalty: float = Field(default=0.2, ge=0)
    penalty_every: int = Field(default=16, ge=1)
    generator_rate: float = Field(default=5e-4, gt=0)
    discriminator_rate: float = Field(default=5e-4, gt=0)
    batch: int = Field(default=16, ge=2)


def load_config(name: str) -> ArganConfig:
    """A configuration that ships with dofkit, by name, or any file by path.

    Raises:
        DofkitError: there is no such file, or it does not hold what an `ArganConfig` needs.
    """
    path = CONFIGS / f"{name}.toml" if name in shipped_configs() else Path(name)
    if not path.exists():
        raise DofkitError(f"{name} is no file and none of {', '.join(shipped_configs())}; give one of both")
    try:
        return ArganConfig.model_validate(read_toml(path))
    except ValidationError as error:
        raise invalid(path, error, "see train/configs/full.toml") from error


def shipped_configs() -> list[str]:
    """Names of the configurations in `train/configs/`."""
    return sorted(file.stem for file in CONFIGS.glob("*.toml"))

"""Profiles of devices, read from `profiles/*.toml`: every figure with its source, and what is unknown left out."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..runtime_ref.enums import TitledEnum
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.files import read_toml
from ..runtime_ref.target import Precision, Target

Value = TypeVar("Value")
_FOLDER = Path(__file__).parent / "profiles"


class DeviceUnit(TitledEnum):
    """What computes, as a runtime's delegate reaches it."""

    CPU = "cpu", "CPU"
    GPU = "gpu", "GPU"
    NNAPI = "nnapi", "NNAPI"
    NEURAL_ENGINE = "neural-engine", "Neural Engine"
    WEBGPU = "webgpu", "WebGPU"

    @property
    def targets(self) -> tuple[Target, ...]:
        """Whose files it computes, with the runtimes that dofkit exports for."""
        apple = (Target.COREML, Target.COREAI)
        return {
            DeviceUnit.CPU: tuple(Target),
            DeviceUnit.GPU: (Target.TFLITE, *apple),
            DeviceUnit.NNAPI: (Target.TFLITE, Target.ONNX),
            DeviceUnit.NEURAL_ENGINE: apple,
            DeviceUnit.WEBGPU: (Target.TFLITE, Target.ONNX),
        }[self]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sourced(_Frozen, Generic[Value]):
    """A figure and the public document that says it.

    Attributes:
        value: the figure.
        source: the document, by its name: the maker's where there is one.
        seen: address of a page that was opened and says the same; empty where none was found to open.
    """

    value: Value
    source: str = Field(min_length=8)
    seen: str = Field(default="", pattern="^(https?://.+)?$")


_Positive = Annotated[float, Field(gt=0)]
Number = Sourced[_Positive]
Text = Sourced[str]


class Accelerator(_Frozen):
    """A unit of a device; None is what no public document says.

    Attributes:
        unit: which.
        name: its own.
        arithmetic: floats that it computes in, whatever the file says: "fp16"; "fp32" as the file says.
        channels: it computes this many channels at once, others are filled up with zeros.
        row_bytes: a row of a tensor is filled up to a multiple of this.
        texture: greatest side of a texture, in pixels.
        gflops: greatest rate of multiplications and additions in floats, in 10^9 a second.
    """

    unit: DeviceUnit
    name: Text | None = None
    arithmetic: Text | None = None
    channels: Sourced[Annotated[int, Field(ge=1)]] | None = None
    row_bytes: Sourced[Annotated[int, Field(ge=1)]] | None = None
    texture: Sourced[Annotated[int, Field(ge=1)]] | None = None
    gflops: Number | None = None

    @property
    def computes_in_fp16(self) -> bool:
        """Whether it rounds to 16 bits what the file says in 32."""
        return self.arithmetic is not None and self.arithmetic.value == "fp16"


class Deployment(_Frozen):
    """A target that the device runs.

    Attributes:
        target: of export.
        system: the least that the files need there; None where no document says it.
        precisions: those that are worth trying first, the best first.
    """

    target: Target
    system: Text | None = None
    precisions: Sourced[tuple[Precision, ...]]


class Profile(_Frozen):
    """A device, as far as public documents tell.

    Attributes:
        title: its name.
        maker: who sells it.
        released: year.
        chip: system on a chip.
        cores: of the CPU.
        memory_gb: of the variant with the least at its release, in 2^30 bytes.
        bandwidth: of the memory, in 10^9 bytes a second.
        system: that it was sold with.
        accelerators: its units, the CPU first.
        deployments: the targets that run there.
    """

    title: str
    maker: str
    released: Sourced[int] | None = None
    chip: Text | None = None
    cores: Sourced[Annotated[int, Field(ge=1)]] | None = None
    memory_gb: Number | None = None
    bandwidth: Number | None = None
    system: Text | None = None
    accelerators: tuple[Accelerator, ...] = Field(min_length=1)
    deployments: tuple[Deployment, ...] = Field(min_length=1)

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """That run there."""
        return tuple(one.target for one in self.deployments)

    def units_for(self, target: Target) -> tuple[Accelerator, ...]:
        """What may compute a target's files there."""
        return tuple(one for one in self.accelerators if target in one.unit.targets) if target in self.targets else ()


def names() -> tuple[str, ...]:
    """The names of all profiles, in the order of the alphabet."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def profile(name: str) -> Profile:
    """The profile of that name, or in that file.

    Args:
        name: as `names` has it, or the path of a TOML file of your own.

    Raises:
        DofkitError: there is none, or it says what no profile says.
    """
    path = Path(name) if name.endswith(".toml") else _FOLDER / f"{name}.toml"
    if not name.endswith(".toml") and name not in names():
        likely = get_close_matches(name, names(), 1)
        remedy = f"did you mean {likely[0]}?" if likely else "dofkit devices list shows all"
        raise DofkitError(f"no profile is called {name!r}; {remedy}")
    try:
        return Profile.model_validate(read_toml(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DofkitError(f"{path}: {where}: {first['msg']}; mend it there") from None

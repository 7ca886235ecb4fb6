"""The manifest's schema: all that an app needs of a bundle, in JSON, and nothing of the machine that wrote it.

No path in it may leave the bundle's folder. How a bundle is read and written: `reading`, `writing`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..licences import keeps_products_out
from ..pipeline.aspects import size_text
from ..pipeline.plan import PipelinePlan
from ..pipeline.rules import HostRules
from ..pipeline.stage import Stage
from ..target import Precision, Target

MANIFEST = "manifest.json"
SCHEMA = "manifest.schema.json"
SUFFIX = ".dofbundle"
ONNX_FORMAT = "ONNX"  # of a brought network, in its configuration: what its reference is computed from


def _inside(path: str) -> str:
    """A POSIX path that stays inside the bundle."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path or "\0" in path:
        raise ValueError(f"path {path!r} leaves the bundle")
    return path


BundlePath = Annotated[str, AfterValidator(_inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


class FileEntry(_Frozen):
    """A file of the bundle: its size in bytes and SHA-256."""

    bytes: int = Field(ge=0)
    sha256: Sha256


class TensorEntry(_Frozen):
    """An input or output of a model as it stands in the file."""

    name: str
    shape: tuple[int, ...]
    dtype: Literal["float32", "float16", "uint8"]
    layout: Literal["NCHW", "NHWC"]
    low: float
    high: float
    meaning: str
    image: Literal["RGB", "GRAYSCALE_FLOAT16", "BGRA"] | None = Field(
        default=None, description="the pixels of an image (a camera buffer); null: a tensor"
    )

    @property
    def sides(self) -> tuple[int, ...]:
        """Height and width."""
        return self.shape[1:3] if self.layout == "NHWC" else self.shape[2:4]

    @property
    def summary(self) -> str:
        """Name, shape and kind in a line, for people; tensors are float32."""
        kind = f"{self.image} image" if self.image else self.layout
        return f"{self.name} {'×'.join(map(str, self.shape))} {kind}"


class LayerEntry(_Frozen):
    """The stored weights of one layer, compared with the PyTorch network's."""

    name: str
    parameters: int
    stored: str = Field(description="how: 'fp32', 'fp16', 'int8', 'int4', 'palette4' …")
    difference: float = Field(description="greatest absolute difference from the folded fp32 weight")
    problem: str = Field(default="", description="empty when every stored value is exactly what it must be")
    uncompared: str = Field(default="", description="why it was not compared; empty when it was")


class ModelEntry(_Frozen):
    """One exported network: a stage for a target in a precision."""

    stage: Stage
    target: Target
    precision: Precision
    path: BundlePath
    inputs: tuple[TensorEntry, ...] = Field(description="in the order in which the file declares them")
    outputs: tuple[TensorEntry, ...]
    operators: dict[str, int]
    deployment: str = Field(description="the least runtime that loads it, e.g. 'iOS 17'")
    function: str | None = Field(default=None, description="its function in a package that several models share")
    tile: int | None = Field(default=None, description="its input size where it is not the plan's; null: the plan's")
    depth_size: tuple[int, int] | None = Field(
        default=None, description="height and width of a depth network's input where they are not the plan's first"
    )
    kept_fp32: tuple[str, ...] = Field(default=(), description="operations that an fp16 model computes in fp32")
    kept_float: tuple[str, ...] = Field(default=(), description="layers that a quantised model leaves in floats")
    layers: tuple[LayerEntry, ...] = Field(default=(), description="its stored weights, where they were compared")

    @property
    def name(self) -> str:
        """Its stage, with the input's size where that is not the plan's first: "depth_448x320", "lens_blur_256"."""
        size = self.tile if self.depth_size is None else size_text(self.depth_size)
        return self.stage.value if size is None else f"{self.stage}_{size}"

    @property
    def compressed(self) -> tuple[LayerEntry, ...]:
        """The layers whose weights are compressed."""
        return tuple(layer for layer in self.layers if layer.stored not in ("fp32", "fp16", ""))

    @property
    def has_buffers(self) -> bool:
        """Whether it takes or gives images instead of tensors."""
        return any(tensor.image is not None for tensor in (*self.inputs, *self.outputs))

    @property
    def location(self) -> str:
        """Its file, and its function in it if several models share the file."""
        return f"{self.path}, function {self.function}" if self.function else self.path

    @property
    def storage(self) -> str:
        """How it stores and computes numbers, for people: "palette6, 44 of 47 layers"."""
        parts = [self.precision.value]
        if self.precision.weight_bits is not None and self.layers:
            parts.append(f"{len(self.compressed)} of {len(self.layers)} layers")
        if self.kept_fp32:
            parts.append(f"{len(self.kept_fp32)} operations in fp32")
        return ", ".join(parts)

    @property
    def weight_problems(self) -> tuple[str, ...]:
        """One line for each layer whose stored weights are not the network's; empty when all are."""
        return tuple(f"weights of {layer.name}: {layer.problem}" for layer in self.layers if layer.problem)

    @property
    def uncompared_weights(self) -> str:
        """Which layers' stored weights nobody compared, in a line; empty when all were."""
        left = [layer for layer in self.layers if layer.uncompared]
        if not left:
            return ""
        names = ", ".join(layer.name for layer in left[:3]) + (" …" if len(left) > 3 else "")
        count = "1 layer" if len(left) == 1 else f"{len(left)} layers"
        return f"stored weights not compared in {count} ({names}): {left[0].uncompared}"


class NetworkEntry(_Frozen):
    """The PyTorch network that a stage was exported from; empty texts say nothing."""

    architecture: str = Field(default="", description="its name in dofkit's registry")
    parameters: int
    halo: int | None = Field(description="pixels of the low-resolution side that an output sees; null: the whole photo")
    configuration: dict[str, str | int | float | bool | tuple[int, ...] | tuple[float, ...]]
    weights_sha256: Sha256
    licence: str = Field(default="", description="of the weights, and so of every file made from them")
    author: str = ""
    provenance: str = Field(default="", description="of what the weights were made")

    @property
    def is_brought(self) -> bool:
        """Whether it is none of dofkit's own: its configuration then says where it is from."""
        return "source" in self.configuration

    @property
    def origin(self) -> str:
        """Of a brought network, for people: "model-folder (ItsClass), transformers, at 518x518 pixels"; else its
        architecture."""
        if not self.is_brought:
            return self.architecture
        said = self.configuration
        model, size = (str(said.get(name) or "") for name in ("model", "size"))
        parts = [f"{said['source']} ({model})" if model else str(said["source"]), str(said.get("format") or "")]
        return ", ".join(filter(None, [*parts, f"at {size} pixels" if size else ""]))

    @property
    def gives(self) -> str:
        """What a brought depth network gives by itself: "metric"; empty for others."""
        return str(self.configuration.get("kind") or "") if self.is_brought else ""

    @property
    def keeps_products_out(self) -> bool:
        """Whether its licence does not let a product use it, as far as words tell."""
        return keeps_products_out(self.licence)


class GoldenCase(_Frozen):
    """Inputs and PyTorch fp32 outputs, of every stage and of the whole pipeline, in one safetensors file."""

    name: str
    path: BundlePath
    kind: Literal["photo", "synthetic"]
    focus: float = Field(ge=0, le=1)
    aperture: float = Field(ge=0, le=1)
    note: str


class StepTensor(_Frozen):
    """A tensor of a step case: by which step it can be computed, and how much of it is stored."""

    step: int = Field(ge=1, le=12, description="number of the step in README.md that it is the result of")
    every: int = Field(ge=1, le=99, description="only every so many-th row and column is stored, from the first on")


class StepCase(_Frozen):
    """What the steps around the networks make of a photo and a map, with stand-ins for the networks (see README.md).

    An integer in its tensors is a number in [0, 1], divided by the greatest of its type; `copied_…` holds 0 and 1.
    """

    name: str
    path: BundlePath
    note: str
    tap: tuple[float, float] | None = Field(description="x, y as fractions of width and height; null: by itself")
    aperture: float = Field(ge=0, le=1)
    focus_range: float = Field(ge=0, le=1, description="step 7: of a predicted map plan.focus_range, else 0")
    depth_size: tuple[int, int] = Field(description="result of step 4: height and width of the depth network's input")
    focus: float = Field(ge=0, le=1, description="result of step 6")
    levels: int = Field(ge=0, description="result of step 8: n")
    weak: bool = Field(description="result of step 8: whether the blur starts one level higher than the lowest")
    tensors: dict[str, StepTensor]


class Manifest(_Frozen):
    """Everything about a bundle, in JSON."""

    schema_version: Literal[4] = 4
    name: str
    conventions: dict[str, str]
    plan: PipelinePlan
    rules: HostRules = Field(default_factory=HostRules, description="constants of the steps around the networks")
    networks: dict[Stage, NetworkEntry]
    models: tuple[ModelEntry, ...]
    golden: tuple[GoldenCase, ...]
    steps: tuple[StepCase, ...] = Field(default=(), description="tests of the steps around the networks")
    tools: dict[str, str]
    files: dict[BundlePath, FileEntry]
    digest: Sha256 | Literal[""] = Field(default="", description="SHA-256 of this manifest with an empty digest")

    def brought(self, stage: Stage | None) -> frozenset[Stage]:
        """The stages whose networks are none of dofkit's own: of one stage; None, or a preview: of all."""
        asked = (stage,) if stage is not None and stage in self.networks else self.networks
        return frozenset(each for each in asked if self.networks[each].is_brought)

    @property
    def reference(self) -> str:
        """What computed the golden outputs, which files are compared with, for people."""
        depth = self.networks.get(Stage.DEPTH)
        if depth is None or not depth.is_brought or depth.configuration.get("format") != ONNX_FORMAT:
            return "PyTorch fp32"
        theirs = f"ONNX Runtime on {depth.configuration['source']}"
        return theirs if len(self.networks) == 1 else f"PyTorch fp32 (depth: {theirs})"

    def sealed(self) -> Manifest:
        """The same manifest with its digest filled in."""
        return self.model_copy(update={"digest": digest_of(self.model_dump(mode="json"))})

    def encoded(self) -> bytes:
        """The bytes of `manifest.json`."""
        return canonical(self.model_dump(mode="json"))


def manifest_schema() -> bytes:
    """The JSON Schema of `manifest.json`, which every bundle carries."""
    return canonical(Manifest.model_json_schema(mode="serialization"))


def canonical(document: dict[str, Any]) -> bytes:
    """JSON with sorted keys: equal documents have equal bytes."""
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def digest_of(document: dict[str, Any]) -> str:
    """SHA-256 of a manifest as it stands, its digest left empty."""
    return hashlib.sha256(canonical({**document, "digest": ""})).hexdigest()

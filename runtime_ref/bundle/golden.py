"""Golden vectors: inputs and PyTorch fp32 outputs of every stage and the whole pipeline; a safetensors file a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from ..errors import DofkitError
from ..files import write_file
from ..pipeline.aspects import Size
from ..pipeline.stage import INPUTS, OUTPUTS, PIPELINE_STAGES, PREVIEWS, Stage

Array = NDArray[np.floating[Any]]
_PHOTO, _RENDERED = "pipeline.photo", "pipeline.rendered"


@dataclass(frozen=True)
class GoldenArrays:
    """One case. Tensors are named `STAGE.SIGNAL`, and `pipeline.photo` and `pipeline.rendered`.

    Those of the depth network are of the size that suits the photo; at a plan's other sizes they are named
    `depth_HxW.SIGNAL`, see `at_depth`.
    """

    tensors: Mapping[str, NDArray[Any]]

    @property
    def photo(self) -> NDArray[np.uint8]:
        """The photo, uint8 `[H, W, 3]`."""
        return self.tensors[_PHOTO]  # pyright: ignore[reportReturnType]

    @property
    def rendered(self) -> Array:
        """What the PyTorch pipeline makes of it, float32 `[H, W, 3]` in [0, 1]."""
        return self.tensors[_RENDERED]  # pyright: ignore[reportReturnType]

    def inputs(self, stage: Stage) -> dict[str, Array]:
        """A stage's inputs by name, each `[1, C, H, W]`."""
        prefix = _inputs_of(stage)
        return {signal.name: _floats(self.tensors[f"{prefix}.{signal.name}"]) for signal in INPUTS[stage]}

    def output(self, stage: Stage) -> Array:
        """What PyTorch computes from these inputs, `[1, C, H, W]`."""
        return _floats(self.tensors[f"{stage}.{OUTPUTS[stage].name}"])

    def at_depth(self, size: Size) -> GoldenArrays:
        """The same case with the depth network's tensors of another size, (height, width).

        Raises:
            DofkitError: the case lacks them.
        """
        if self.inputs(Stage.DEPTH)["image"].shape[2:] == size:
            return self
        tensors = dict(self.tensors)
        for signal in (*INPUTS[Stage.DEPTH], OUTPUTS[Stage.DEPTH]):
            name = f"{_depth_of(size)}.{signal.name}"
            if name not in tensors:
                raise DofkitError(f"a golden case lacks the tensor {name}; export the bundle again")
            tensors[f"{Stage.DEPTH}.{signal.name}"] = tensors[name]
        return GoldenArrays(tensors)


def _inputs_of(stage: Stage) -> str:
    """Under which name its inputs are stored: both previews see the same."""
    return Stage.PREVIEW.value if stage in PREVIEWS else stage.value


def _floats(values: NDArray[Any]) -> Array:
    """Pictures of previews are stored in 8 and 16 bits, of which the greatest is 1."""
    return values / np.float32(np.iinfo(values.dtype).max) if values.dtype.kind == "u" else values


def _compact(stage: Stage, name: str, values: Array) -> NDArray[Any]:
    """A tensor as it is stored: the photo of a preview has 8 bits, its portrait 16, which differ from it by 8e-6."""
    kind = {"image": np.uint8, OUTPUTS[stage].name: np.uint16}.get(name)
    if stage not in PREVIEWS or kind is None:
        return values
    return np.rint(values.clip(0, 1) * np.float32(np.iinfo(kind).max)).astype(kind)


def _depth_of(size: Size) -> str:
    height, width = size
    return f"{Stage.DEPTH}_{height}x{width}"


StageArrays = tuple[Mapping[str, Array], Array]
"""Inputs by name, and the output."""


def golden_arrays(
    photo: NDArray[np.uint8],
    rendered: Array,
    stages: Mapping[Stage, StageArrays],
    depths: Mapping[Size, StageArrays] | None = None,
) -> GoldenArrays:
    """Collect a case from the photo, its rendering, and (inputs, output) of every stage; of the depth network also
    those at further sizes."""
    tensors: dict[str, NDArray[Any]] = {_PHOTO: photo, _RENDERED: rendered}
    named = [(stage.value, _inputs_of(stage), stage, arrays) for stage, arrays in stages.items()]
    named += [(_depth_of(size), _depth_of(size), Stage.DEPTH, arrays) for size, arrays in (depths or {}).items()]
    for prefix, before, stage, (inputs, output) in named:
        tensors |= {f"{before}.{name}": _compact(stage, name, values) for name, values in inputs.items()}
        result = OUTPUTS[stage].name
        tensors[f"{prefix}.{result}"] = _compact(stage, result, output)
    return GoldenArrays(tensors)


def write_golden(path: Path, arrays: GoldenArrays) -> None:
    """Write a case."""
    write_file(path, save({name: np.ascontiguousarray(values) for name, values in sorted(arrays.tensors.items())}))


def read_golden(path: Path) -> GoldenArrays:
    """Read a case.

    Raises:
        DofkitError: when the file is damaged or lacks a tensor.
    """
    try:
        arrays = GoldenArrays(load_file(path))
        _ = arrays.photo, arrays.rendered, [(arrays.inputs(stage), arrays.output(stage)) for stage in PIPELINE_STAGES]
    except (SafetensorError, OSError) as error:
        raise DofkitError(f"{path} is not a readable safetensors file ({error}); export the bundle again") from error
    except KeyError as error:
        raise DofkitError(f"{path} lacks the tensor {error}; export the bundle again") from error
    return arrays

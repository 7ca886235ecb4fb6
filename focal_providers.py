"""What finds depth in a focal stack: the network in PyTorch, or the graph of a bundle on its own runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from .runtime_ref.backends import Session, open_session
from .runtime_ref.bundle import Bundle, ModelEntry
from .runtime_ref.errors import DofkitError
from .runtime_ref.pipeline.stage import DEPTHS, Stage
from .runtime_ref.target import Precision, Target
from .train.networks.focal_depth import SLICES, FocalDepthNet
from .train.rendering.focus_sweep import FocusSweep

Bytes = NDArray[np.uint8]
Array = NDArray[np.float32]


class FocalProvider(Protocol):
    """Finds depth and a picture that is all in focus."""

    @property
    def runtime(self) -> str:
        """What computes, for people."""
        ...

    def chosen(self, count: int) -> list[int]:
        """Which of so many slices are looked at, evenly.

        Raises:
            DofkitError: they are too few.
        """
        ...

    def reduced(self, slices: Sequence[Image.Image]) -> Bytes:
        """The slices as large as they are looked at, uint8 [S, h, w, 3], their aspect nearly kept."""
        ...

    def look(self, stack: Bytes, sweep: FocusSweep) -> tuple[Array, Bytes]:
        """Disparity [h, w], 1 at the sweep's near and 0 at its far, and the picture uint8 [h, w, 3].

        Args:
            stack: as `reduced` gave it.
            sweep: at its size.
        """
        ...


@dataclass(frozen=True)
class NetworkProvider:
    """The network in PyTorch, at sizes up to a longer side of `side` pixels."""

    network: FocalDepthNet
    side: int = 640

    @property
    def runtime(self) -> str:
        """See `FocalProvider`."""
        return f"PyTorch {torch.__version__}"

    def chosen(self, count: int) -> list[int]:
        """See `FocalProvider`."""
        return _evenly(count, min(count, SLICES[1]))

    def reduced(self, slices: Sequence[Image.Image]) -> Bytes:
        """See `FocalProvider`; both sides are multiples of what the network takes."""
        (width, height), multiple = slices[0].size, self.network.multiple
        scale = min(1.0, self.side / max(width, height))
        across, down = (max(multiple, round(scale * one / multiple) * multiple) for one in (width, height))
        return _resized(slices, (down, across))

    def look(self, stack: Bytes, sweep: FocusSweep) -> tuple[Array, Bytes]:
        """See `FocalProvider`."""
        depths = self.network.config.depths
        pixels = torch.from_numpy(stack).movedim(-1, 1)[None].float() / 255
        with torch.inference_mode():
            found = self.network(pixels, sweep.radius(depths)[None])
            inverse = 1 / sweep.depth_at(found.place[0, 0], depths).numpy()
        disparity = (inverse - 1 / sweep.far) / (1 / sweep.near - 1 / sweep.far)
        return disparity.astype(np.float32), _eight_bits(found.picture[0].movedim(0, -1).numpy())


@dataclass(frozen=True)
class GraphProvider:
    """An exported graph, which takes stacks of one size: a stack is fitted into it, on its side where that fits better,
    and its border repeated around it.

    Attributes:
        session: what computes it.
        slices: that it takes.
        size: its height and width in pixels.
    """

    session: Session
    slices: int
    size: tuple[int, int]

    @classmethod
    def of(
        cls, folder: Path, target: Target | None = None, precision: Precision | None = None, threads: int = 2
    ) -> GraphProvider:
        """The graph of a bundle; the first that is there in the order ONNX, TFLite, Core ML, Core AI.

        Raises:
            DofkitError: the bundle is damaged or has none.
        """
        bundle = Bundle.open(folder)
        model = _model(bundle, target, precision)
        stack = model.inputs[0]
        height, width = stack.sides
        return cls(open_session(bundle, model, threads=threads), stack.shape[0], (height, width))

    @property
    def runtime(self) -> str:
        """See `FocalProvider`."""
        return self.session.runtime

    def chosen(self, count: int) -> list[int]:
        """See `FocalProvider`."""
        if count < self.slices:
            raise DofkitError(
                f"the bundle's graph takes {self.slices} slices, the stack has {count}; export it with "
                f"--slices {count}, or leave --bundle out"
            )
        return _evenly(count, self.slices)

    def reduced(self, slices: Sequence[Image.Image]) -> Bytes:
        """See `FocalProvider`."""
        width, height = slices[0].size
        goal = self.size[::-1] if self._lies(height, width) else self.size
        scale = min(1.0, goal[0] / height, goal[1] / width)
        return _resized(slices, (max(1, round(scale * height)), max(1, round(scale * width))))

    def look(self, stack: Bytes, sweep: FocusSweep) -> tuple[Array, Bytes]:
        """See `FocalProvider`."""
        lies = self._lies(*stack.shape[1:3])
        turned = np.rot90(stack, axes=(1, 2)) if lies else stack
        height, width = turned.shape[1:3]
        room = (self.size[0] - height, self.size[1] - width)
        around = [(0, 0), *((each // 2, each - each // 2) for each in room), (0, 0)]
        pixels = np.moveaxis(np.pad(turned, around, mode="edge"), -1, 1)
        radius = sweep.radius(DEPTHS)[:, :, None, None].numpy()
        found = self.session.run(
            {"stack": np.ascontiguousarray(pixels, np.float32) / np.float32(255), "radius": radius}
        )
        rows, columns = (slice(each // 2, each // 2 + side) for each, side in zip(room, (height, width), strict=True))
        inner = found[0, :, rows, columns].transpose(1, 2, 0)
        inner = np.rot90(inner, -1) if lies else inner
        return np.ascontiguousarray(inner[:, :, 3], np.float32), _eight_bits(inner[:, :, :3])

    def _lies(self, height: int, width: int) -> bool:
        """Whether a stack of this size is looked at on its side."""
        return (height > width) != (self.size[0] > self.size[1]) and height != width and self.size[0] != self.size[1]


def _model(bundle: Bundle, target: Target | None, precision: Precision | None) -> ModelEntry:
    order = (Target.ONNX, Target.TFLITE, Target.COREML, Target.COREAI) if target is None else (target,)
    for one in order:
        for model in bundle.models(one, precision):
            if model.stage is Stage.FOCAL_DEPTH:
                return model
    asked = " ".join(map(str, filter(None, (target, precision))))
    raise DofkitError(
        f"{bundle.root}: has no {asked + ' ' if asked else ''}graph of focal stacks; export one with "
        f"`dofkit export --stage {Stage.FOCAL_DEPTH}`"
    )


def _evenly(count: int, chosen: int) -> list[int]:
    return np.unique(np.linspace(0, count - 1, chosen).round().astype(int)).tolist()


def _resized(slices: Sequence[Image.Image], size: tuple[int, int]) -> Bytes:
    height, width = size
    return np.stack([np.asarray(one.resize((width, height), Image.Resampling.LANCZOS)) for one in slices])


def _eight_bits(picture: NDArray[np.floating]) -> Bytes:
    return np.rint(picture * 255).clip(0, 255).astype(np.uint8)

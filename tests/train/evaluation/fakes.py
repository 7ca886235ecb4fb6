"""Small scenes and methods whose scores are known in closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np

from dofkit.runtime_ref.pipeline.plan import PipelinePlan, TileSpec
from dofkit.runtime_ref.pipeline.portrait import Array, PortraitPipeline
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.data.scenes import ComposedScene
from dofkit.train.evaluation.methods import ALL, DisparitySource, Group, Networks
from dofkit.train.rendering.layered import SceneLens

LENS = SceneLens(focus=0.8, aperture=1.0, long_side=96)


def scene(seed: int = 0, shape: tuple[int, int] = (64, 96)) -> ComposedScene:
    """Noise whose right half is near and in focus, and whose left half loses half of its contrast."""
    rng = np.random.default_rng(seed)
    sharp = (rng.integers(0, 256, (*shape, 3)) / 255).astype(np.float32)
    near = np.arange(shape[1]) >= shape[1] // 2
    disparity = np.broadcast_to(np.where(near, 0.8, 0.2), shape).astype(np.float32)
    blurred = np.where(near[:, None], sharp, 0.25 + 0.5 * sharp).astype(np.float32)
    return ComposedScene(sharp, blurred, disparity, np.roll(disparity, 3, axis=1), LENS)


@dataclass(frozen=True)
class Fake:
    """Paints every pixel lighter by `step` and counts how often it is asked."""

    name: str
    step: int = 0
    group: Group = Group.CLASSICAL
    source: str = "a test"
    kinds: tuple[DisparitySource, ...] = ALL
    asked: list[np.ndarray] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        return str(self.step)

    def render(self, sharp: np.ndarray, disparity: np.ndarray, lens: SceneLens) -> np.ndarray:
        self.asked.append(disparity)
        return np.clip(sharp.astype(int) + self.step, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class FakeDepth:
    """Half of the true disparity and a bit: right up to scale and shift."""

    true: np.ndarray
    fingerprint: str = "depth"

    def __call__(self, sharp: np.ndarray) -> np.ndarray:
        return (self.true * 0.5 + 0.1).astype(np.float32)


class FakeSession:
    """A stage that computes `answer` and remembers its inputs."""

    runtime = "a test"

    def __init__(self, answer: Callable[[Mapping[str, Array]], Array]) -> None:
        self.answer = answer
        self.seen: list[Mapping[str, Array]] = []

    def run(self, inputs: Mapping[str, Array]) -> Array:
        self.seen.append(inputs)
        return self.answer(inputs)


def fake_sessions() -> dict[Stage, FakeSession]:
    """Stages that blur nothing."""
    given = {Stage.DEPTH: "image", Stage.LENS_BLUR: "image", Stage.GUIDED_UPSAMPLING: "image_high"}
    return {stage: FakeSession(itemgetter(name)) for stage, name in given.items()}


def fake_networks(sessions: Mapping[Stage, FakeSession] | None = None) -> Networks:
    """Ours over `sessions`, untiled."""
    spec = TileSpec(tile=None, halo=2, align=1)
    plan = PipelinePlan(depth_height=128, depth_width=128, lens_blur=spec, guided_upsampling=spec, copy_below=0.0)
    return Networks("ours", PortraitPipeline(sessions or fake_sessions(), plan), "fake")

"""The loop: every method on every scene with every kind of disparity, one scene in memory at a time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy import ndimage

from ...runtime_ref.mapping import InTurn, Mapper, every_result
from ...runtime_ref.parity.reports.pictures import Window, to_bytes
from ...runtime_ref.pipeline.resampling import resize
from ..data.scenes import ComposedScene
from ..rendering.layered import SceneLens
from ..rendering.lens import Array
from .methods import DisparitySource, Group, Method, Networks, digest
from .scores import Bytes, Regions, Scores, fit_scale_and_shift, mean_scores, score
from .store import PartialStore

CROP = 240
"""Side of the report's crops in pixels."""

Progress = Callable[[int, int, str], None]
"""Called with (pictures done, pictures in all, what is being rendered)."""


class Scenes(Protocol):
    """Scenes by number; `train.data.scene_set.SceneSet` is one."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> ComposedScene: ...


class DepthSource(Protocol):
    """What predicts disparity.

    Attributes:
        fingerprint: of all that the prediction depends on besides the picture.
    """

    @property
    def fingerprint(self) -> str: ...

    def __call__(self, sharp: Bytes) -> Array:
        """Disparity [h, w] in [0, 1] of any resolution over the whole picture [H, W, 3]."""
        ...


@dataclass(frozen=True)
class Entry:
    """The scores of one picture.

    Attributes:
        path: of the partial file, beside which the crop lies.
    """

    scene: int
    method: str
    kind: DisparitySource
    scores: Scores
    path: Path


@dataclass(frozen=True)
class SceneEvaluation:
    """All scores.

    Attributes:
        methods: in the order of the table.
        lenses: of the scenes.
        entries: one a scene, method and kind.
        shown: scene numbers that the report shows.
    """

    methods: tuple[Method, ...]
    lenses: tuple[SceneLens, ...]
    entries: tuple[Entry, ...]
    shown: tuple[int, ...]

    @property
    def scenes(self) -> int:
        """How many there were."""
        return len(self.lenses)

    def of(self, method: Method, kind: DisparitySource) -> list[Entry]:
        """A method's entries with one kind of disparity, by scene."""
        return [entry for entry in self.entries if (entry.method, entry.kind) == (method.name, kind)]

    def means(self, method: Method, kind: DisparitySource) -> dict[str, Any] | None:
        """Mean scores, see `scores.mean_scores`; None where the method is not scored with that kind."""
        entries = self.of(method, kind)
        return mean_scores([entry.scores for entry in entries]) if entries else None

    def best(self, group: Group, kind: DisparitySource = DisparitySource.TRUE) -> Method | None:
        """The method of a group with the highest mean PSNR."""
        scored = [(self.means(method, kind), method) for method in self.methods if method.group is group]
        ranked = [(means["psnr"], number) for number, (means, _) in enumerate(scored) if means]
        return scored[max(ranked)[1]][1] if ranked else None


def evaluate(
    scenes: Scenes,
    methods: Sequence[Method],
    depth: DepthSource,
    store: PartialStore,
    count: int | None = None,
    shown: int = 6,
    progress: Progress | None = None,
    mapper: Mapper | None = None,
) -> SceneEvaluation:
    """Score every method; what the store holds is not rendered again.

    Args:
        scenes: pictures whose truth is known.
        methods: with distinct names.
        depth: predicts the disparity of `DisparitySource.PREDICTED`.
        store: of finished scores.
        count: scenes from the first; all by default.
        shown: of how many scenes a crop of each picture is kept.
        progress: see `Progress`; of whole scenes where `mapper` has other processes.
        mapper: where scenes are judged. Default: here, in turn.
    """
    number = len(scenes) if count is None else min(count, len(scenes))
    each = sum(len(method.kinds) for method in methods)
    report = progress or (lambda done, total, what: None)
    mapper = mapper or InTurn()
    fine = partial(_of_all, report, each, number) if isinstance(mapper, InTurn) else None
    judge = partial(_judge, scenes, tuple(methods), depth, store, shown, fine)
    judged: dict[int, tuple[SceneLens, list[Entry]]] = {}
    for index, lens, entries in every_result(mapper.over(judge, range(number))):
        judged[index] = lens, entries
        if fine is None:
            report(len(judged) * each, number * each, f"scene {index + 1}")
    report(number * each, number * each, "done")
    ordered = [judged[index] for index in range(number)]
    return SceneEvaluation(
        methods=tuple(methods),
        lenses=tuple(lens for lens, _ in ordered),
        entries=tuple(entry for _, entries in ordered for entry in entries),
        shown=tuple(range(min(shown, number))),
    )


def _of_all(report: Progress, each: int, scenes: int, index: int, done: int, what: str) -> None:
    """Progress within a scene as progress within all."""
    report(index * each + done, scenes * each, f"scene {index + 1}: {what}")


def _judge(
    scenes: Scenes,
    methods: Sequence[Method],
    depth: DepthSource,
    store: PartialStore,
    shown: int,
    progress: Callable[[int, int, str], None] | None,
    index: int,
) -> tuple[int, SceneLens, list[Entry]]:
    """All scores of one scene, by its number."""
    judged = JudgedScene(scenes[index], depth)
    entries: list[Entry] = []
    for method in methods:
        for kind in method.kinds:
            if progress is not None:
                progress(index, len(entries), f"{method.name}, {kind} disparity")
            path = store.path(index, judged.digest(kind), method, kind)
            scores = store.read(path)
            if scores is None:
                scores, output = judged.score(method, kind)
                store.write(path, scores, judged.window.of(output) if index < shown else None)
            entries.append(Entry(index, method.name, kind, scores, path))
    return index, judged.lens, entries


class JudgedScene:
    """A scene with what is derived from it, each part computed when it is first asked for."""

    def __init__(self, scene: ComposedScene, depth: DepthSource) -> None:
        self.scene, self._depth = scene, depth
        self.sharp, self.truth = to_bytes(scene.sharp), to_bytes(scene.blurred)

    @property
    def lens(self) -> SceneLens:
        """Of the truth."""
        return self.scene.lens

    @cached_property
    def regions(self) -> Regions:
        """Edges and focus, by the true disparity."""
        return Regions.of(self.scene.disparity, self.lens)

    @cached_property
    def window(self) -> Window:
        """The crop that the report shows."""
        return busiest_window(self.sharp, self.truth, self.regions.edges)

    @cached_property
    def fitted(self) -> tuple[Array, float, float]:
        """The predicted disparity [H, W] with its scale and shift fitted to the true one, and both of them."""
        shape = (self.sharp.shape[0], self.sharp.shape[1])
        predicted = resize(self._depth(self.sharp), shape)
        scale, shift = fit_scale_and_shift(predicted, self.scene.disparity)
        return np.clip(predicted * np.float32(scale) + np.float32(shift), 0, 1).astype(np.float32), scale, shift

    def disparity(self, kind: DisparitySource) -> Array:
        """[H, W] in [0, 1]."""
        if kind is DisparitySource.PREDICTED:
            return self.fitted[0]
        return self.scene.corrupted if kind is DisparitySource.CORRUPTED else self.scene.disparity

    @cached_property
    def _pictures(self) -> str:
        planes = (self.sharp, self.truth, self.scene.disparity)
        return digest(self.lens, *(_hash(plane) for plane in planes))

    def digest(self, kind: DisparitySource) -> str:
        """Of all that a score with this kind of disparity depends on, the method apart."""
        parts = {DisparitySource.CORRUPTED: lambda: _hash(self.scene.corrupted)}
        parts[DisparitySource.PREDICTED] = lambda: self._depth.fingerprint
        return digest(self._pictures, parts[kind]() if kind in parts else "")

    def score(self, method: Method, kind: DisparitySource) -> tuple[Scores, Bytes]:
        """Render and score; returns the picture too."""
        disparity = self.disparity(kind)
        started = time.perf_counter()
        output = method.render(self.sharp, disparity, self.lens)
        seconds = time.perf_counter() - started
        levels = method.lower_levels(self.sharp, disparity, self.lens) if isinstance(method, Networks) else []
        error = float(np.sqrt(np.square(disparity - self.scene.disparity).mean(dtype=np.float64)))
        return replace(score(self.truth, output, self.regions, seconds, levels), disparity_error=error), output


def busiest_window(sharp: Bytes, truth: Bytes, edges: np.ndarray) -> Window:
    """The 240 px window where blur at depth edges changes the photo most.

    Args:
        sharp, truth: [H, W, 3].
        edges: [H, W], where edges are.
    """
    height, width = edges.shape
    side = (min(CROP, height), min(CROP, width))
    change = np.abs(sharp.astype(np.float32) - truth).mean(axis=2) * (edges + np.float32(0.01))
    heat = change
    for axis in (0, 1):
        heat = ndimage.uniform_filter1d(heat, side[axis], axis, mode="constant")
    rows, columns = (slice(part // 2, full - (part - 1) // 2) for part, full in zip(side, edges.shape, strict=True))
    inside = heat[rows, columns]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return Window(int(top), int(left), side[0], side[1], (height, width))


def _hash(plane: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(plane).tobytes()).hexdigest()

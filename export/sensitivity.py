"""Which layers cost quality when they are quantised, and the fewest that must stay in floats for a goal.

Measured on what users see: the whole pipeline's pictures, rendered with the files as a target's runtime reads them. A
layer's cost is the error that it brings when it alone is quantised; the choice is then measured as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..runtime_ref.backends import Backend, Session, backends_for, default_backend
from ..runtime_ref.bundle import Bundle, ModelEntry
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.parity import metrics
from ..runtime_ref.parity.cases import Picture
from ..runtime_ref.pipeline.plan import PipelinePlan
from ..runtime_ref.pipeline.portrait import Array, Lens, PortraitPipeline
from ..runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from ..runtime_ref.pipeline.subject import auto_focus
from ..runtime_ref.target import Precision, Target
from ..train.networks.registry import ARCHITECTURES, Architectures
from ..train.session import torch_sessions
from .calibration import Calibration
from .golden import reduced
from .precision import base_precision
from .quantisers import Quantiser, quantiser
from .recipe import Measured, Recipe
from .search import Errors, decibels, fewest, most_sensitive_first
from .stages import StageGraph, stage_graphs

SIDE = 640  # long side of the pictures that are rendered: one upsampling, a third of a second each
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Budget:
    """What a mixed model must reach.

    Attributes:
        kind: "PSNR": at least so many dB in the worst picture; "SIZE": at most this part of the fp32 files' size.
    """

    kind: str
    value: float

    def __str__(self) -> str:
        return f"{self.kind}={self.value:g}"

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read "PSNR=40", "SIZE=0.35" or "SIZE=35%".

        Raises:
            DofkitError: it is neither.
        """
        match = re.fullmatch(r"(psnr|size)\s*=\s*(\d+(?:\.\d+)?)(%?)", text.strip(), re.IGNORECASE)
        kind = match[1].upper() if match else ""
        value = float(match[2]) / (100 if match[3] else 1) if match else 0.0
        if not match or value <= 0 or (kind == "SIZE" and value > 1) or (kind == "PSNR" and match[3]):
            raise DofkitError(f"--budget {text}: is no budget; write PSNR=40 (dB) or SIZE=0.35 (part of the fp32 size)")
        return cls(kind, value)


@dataclass(frozen=True)
class LayerCost:
    """What one layer costs.

    Attributes:
        stage, layer: which; the layer by its path in the PyTorch network.
        psnr: of the pipeline, worst picture, in dB, when this layer alone is quantised.
        saved: bytes that quantising it saves.
    """

    stage: Stage
    layer: str
    psnr: float
    saved: int


@dataclass(frozen=True)
class CurvePoint:
    """A mixed model on the way from all quantised to none: its `kept` most sensitive layers in floats."""

    kept: int
    measured: Measured


@dataclass(frozen=True)
class Sensitivity:
    """All that was measured.

    Attributes:
        costs: of every layer, the most sensitive first.
        curve: with more and more of them in floats.
        recipe: the choice.
    """

    costs: tuple[LayerCost, ...]
    curve: tuple[CurvePoint, ...]
    recipe: Recipe

    def as_json(self) -> dict[str, Any]:
        """The same as JSON data."""
        return {
            "costs": [asdict(cost) for cost in self.costs],
            "curve": [{"kept": point.kept, **point.measured.model_dump()} for point in self.curve],
            "recipe": self.recipe.model_dump(mode="json"),
        }


@dataclass(frozen=True)
class _Scene:
    """A picture with the reference's rendering."""

    name: str
    pixels: NDArray[np.uint8]
    lens: Lens
    rendered: Array


def measure_sensitivity(
    bundle: Bundle,
    target: Target,
    budget: Budget,
    networks: Mapping[Stage, torch.nn.Module],
    pictures: Iterable[Picture],
    calibration: Calibration,
    scratch: Path,
    progress: Progress = lambda *_: None,
    architectures: Architectures = ARCHITECTURES,
) -> Sensitivity:
    """Measure every layer, then choose.

    Args:
        bundle: holds all stages of the target in fp32 (Core ML: fp16, in which it computes).
        target: whose files are quantised and run.
        budget: what the choice must reach.
        networks: what the bundle was exported from.
        pictures: to render, reduced to 640 pixels.
        calibration: to measure ranges of activations on.
        scratch: a folder for trial files.
        progress: called with (what, done, total).
        architectures: those that the networks are of.

    Raises:
        DofkitError: the bundle lacks the files; the budget is out of reach.
    """
    graphs = stage_graphs(networks, _plan(bundle), target, architectures)
    trial = _Trial(
        bundle, target, graphs, [_scene(picture, networks, bundle) for picture in pictures], calibration, scratch
    )
    names = trial.names
    total = len(names) + 24
    costs: dict[str, Errors] = {}
    for number, name in enumerate(names):
        progress(f"quantise {name}", number, total)
        costs[name] = trial.errors([other for other in names if other != name])
    order = most_sensitive_first(costs)
    progress("choose layers", len(names), total)
    chosen = _choose(trial, order, budget)
    curve = []
    for number, kept in enumerate(_steps(len(order))):
        progress(f"{kept} of {len(order)} layers in floats", min(len(names) + 1 + number, total), total)
        curve.append(CurvePoint(kept, trial.measured(order[:kept])))
    recipe = Recipe(
        target=target,
        budget=str(budget),
        keep={stage: tuple(_layer(name) for name in chosen if _stage(name) is stage) for stage in PIPELINE_STAGES},
        layers={stage: sum(_stage(name) is stage for name in names) for stage in PIPELINE_STAGES},
        weights={stage: entry.weights_sha256 for stage, entry in bundle.manifest.networks.items()},
        pictures=trial.pictures,
        reached=trial.measured(chosen),
        everything=trial.measured([]),
    )
    ranked = tuple(LayerCost(_stage(n), _layer(n), decibels(costs[n]), trial.saved(n)) for n in order)
    return Sensitivity(ranked, tuple(curve), recipe)


def _choose(trial: _Trial, order: Sequence[str], budget: Budget) -> list[str]:
    if budget.kind == "PSNR":
        reachable = decibels(trial.errors(list(order)))
        if reachable < budget.value:
            raise DofkitError(f"--budget {budget}: with every layer in floats it is {reachable:.1f} dB; ask for less")
        return fewest(order, lambda kept: decibels(trial.errors(kept)) >= budget.value)
    least = trial.measured_size([])
    if least > budget.value:
        raise DofkitError(f"--budget {budget}: with every layer quantised it is {least:.3f}; ask for more")
    chosen: list[str] = []
    for name in order:  # the most sensitive that still fit
        if trial.measured_size([*chosen, name]) <= budget.value:
            chosen.append(name)
    return chosen


def _steps(count: int) -> list[int]:
    """How many layers in floats the curve shows: dense where most happens."""
    steps = [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89]
    return [step for step in steps if step < count] + [count]


# Layers of all stages in one list: "depth:encoder.to_half.0.0".
def _joined(stage: Stage, layer: str) -> str:
    return f"{stage}:{layer}"


def _stage(name: str) -> Stage:
    return Stage(name.partition(":")[0])


def _layer(name: str) -> str:
    return name.partition(":")[2]


class _Trial:
    """Quantises with some layers in floats, renders, compares."""

    def __init__(
        self,
        bundle: Bundle,
        target: Target,
        graphs: Mapping[Stage, StageGraph],
        scenes: Sequence[_Scene],
        calibration: Calibration,
        scratch: Path,
    ) -> None:
        self._bundle, self._target, self._scratch = bundle, target, scratch
        self._plan = _plan(bundle)
        models = bundle.models(target, base_precision(target))
        base = {model.stage: model for model in models if model.stage in PIPELINE_STAGES}
        if len(base) < len(PIPELINE_STAGES):
            raise DofkitError(
                f"{bundle.root} lacks {target.title} in {base_precision(target)}; export it with "
                f"--target {target} --precision {base_precision(target)}"
            )
        self._quantisers: dict[Stage, Quantiser] = {
            stage: quantiser(graph, target, bundle.path(base[stage].path), calibration, self._plan)
            for stage, graph in graphs.items()
        }
        self._layers = {stage: list(each.layers) for stage, each in self._quantisers.items()}
        self._base = base
        self._exact_bytes = sum(_bytes(bundle.path(model.path)) for model in base.values())
        self._files: dict[tuple[Stage, frozenset[str]], Path] = {}
        self._latest: dict[Stage, tuple[frozenset[str], Session]] = {}
        self._errors: dict[frozenset[str], Errors] = {}
        self.pictures = tuple(scene.name for scene in scenes)
        self._scenes = scenes

    @property
    def names(self) -> list[str]:
        """All layers of all stages that can be quantised."""
        return [_joined(stage, layer) for stage, layers in self._layers.items() for layer in layers]

    def errors(self, kept: Sequence[str]) -> Errors:
        """Mean squared error of every picture, these layers in floats."""
        key = frozenset(kept)
        if key not in self._errors:  # the search, the curve and the recipe ask for some choices again
            pipeline = PortraitPipeline({stage: self._session(stage, kept) for stage in PIPELINE_STAGES}, self._plan)
            self._errors[key] = np.array([self._error(pipeline, scene) for scene in self._scenes])
        return self._errors[key]

    @staticmethod
    def _error(pipeline: PortraitPipeline, scene: _Scene) -> float:
        output = pipeline.render(scene.pixels, pipeline.disparity(scene.pixels), scene.lens, np.float32)
        return 10 ** (-metrics.psnr(scene.rendered, output) / 10)

    def measured(self, kept: Sequence[str]) -> Measured:
        """Quality and size, these layers in floats."""
        size = self._size(kept)
        return Measured(psnr=round(decibels(self.errors(kept)), 2), bytes=size, size=round(size / self._exact_bytes, 4))

    def measured_size(self, kept: Sequence[str]) -> float:
        """Size of all files as a part of those in floats."""
        return self._size(kept) / self._exact_bytes

    def _size(self, kept: Sequence[str]) -> int:
        return sum(_bytes(self._file(stage, kept)) for stage in PIPELINE_STAGES)

    def saved(self, name: str) -> int:
        """Bytes that quantising a layer saves."""
        stage = _stage(name)
        return _bytes(self._file(stage, [name])) - _bytes(self._file(stage, []))

    def _kept(self, stage: Stage, kept: Sequence[str]) -> frozenset[str]:
        return frozenset(_layer(name) for name in kept if _stage(name) is stage)

    def _file(self, stage: Stage, kept: Sequence[str]) -> Path:
        """The stage's file; one whose layers are all in floats is the bundle's own."""
        layers = self._kept(stage, kept)
        if len(layers) == len(self._layers[stage]):
            return self._bundle.path(self._base[stage].path)
        key = (stage, layers)
        if key not in self._files:
            path = self._scratch / f"{stage}-{len(self._files)}{self._target.suffix}"
            self._quantisers[stage].write(path, layers)
            self._files[key] = path
        return self._files[key]

    def _session(self, stage: Stage, kept: Sequence[str]) -> Session:
        """A session of the stage; the last one is kept open, most trials change one stage only."""
        layers = self._kept(stage, kept)
        if stage not in self._latest or self._latest[stage][0] != layers:
            path = self._file(stage, kept).resolve()
            model: ModelEntry = self._base[stage].model_copy(update={"precision": Precision.MIXED})
            self._latest[stage] = (layers, _open(self._bundle, model, path))
        return self._latest[stage][1]


def _plan(bundle: Bundle) -> PipelinePlan:
    """The bundle's, with the depth network at its first size alone: what is chosen there is taken for all sizes."""
    plan = bundle.manifest.plan
    return plan.with_depth(plan.depth_shape)


def _open(bundle: Bundle, model: ModelEntry, path: Path) -> Session:
    """The session of a trial file: the bundle's model with another file."""
    trial = Bundle(path.parent, bundle.manifest)
    return judge(model.target).open(trial, model.model_copy(update={"path": path.name}))


def judge(target: Target) -> Backend:
    """What renders trials: the target's default backend, or an evaluation that every check shows to agree with it."""
    # Apple's Linux runtime takes 10 to 30 times PyTorch's time a stage, the evaluator twice.
    return next(
        (one for one in backends_for(target) if one.facts.is_reference and one.facts.is_routine),
        default_backend(target),
    )


def _scene(picture: Picture, networks: Mapping[Stage, torch.nn.Module], bundle: Bundle) -> _Scene:
    pixels = reduced(picture.pixels, SIDE)
    pipeline = PortraitPipeline(torch_sessions(networks), _plan(bundle))
    disparity = pipeline.disparity(pixels)
    lens = Lens(auto_focus(disparity), 1.0)
    return _Scene(picture.name, pixels, lens, pipeline.render(pixels, disparity, lens, np.float32))


def _bytes(path: Path) -> int:
    """Size of a file, or of all files of a package."""
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else (path,)) if file.is_file())

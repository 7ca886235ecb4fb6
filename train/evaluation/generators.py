"""What generators have learned without supervision, side by side: their pictures as a set, and their depth.

Each generator makes a set of photos. How near that set is to real photos is one figure; the other is what a depth
network that learned from the set alone makes of photos whose depth is known. Generated sets and trained depth networks
stay in the evaluation's folder, so an interrupted run goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...runtime_ref.bundle import file_sha256
from ...runtime_ref.pipeline.stage import Stage
from ..argan_config import ArganConfig, PriorSettings
from ..data.depth import read_generated
from ..data.generated_set import GeneratedSet, settings_of, write_generated
from ..data.shallow_photos import ShallowPhoto
from ..networks.lens_blur import LensBlurNet
from ..rendering.lens import Array
from ..rendering.light_field import ApertureRenderer
from ..systems.argan import centre_prior
from ..trainer import RunSettings
from ..weights import load_weights, weights_file
from ..weights.generative import GENERATOR, TRANSLATOR
from .deep_to_shallow import PairScores, ThroughDepth, span_of, translated_by, unchanged
from .depth_reading import KINDS, DepthScores, Reading, read, train_reader
from .kernel_distance import kernel_distance
from .subjects import beyond_place, subject_nearer, subject_of

SAMPLES_SEED = 2106
"""Of the generated sets."""
READER_SEED = 13041
SHOWN = 8
"""Samples and photos of each kind on the page."""

Report = Callable[[str], None]
"""Called with what is being done."""


@dataclass(frozen=True)
class Effort:
    """How long an evaluation may take.

    Attributes:
        samples: generated photos of each generator.
        steps: of the depth network that learns from them.
        batch: samples a step.
        threads: CPU threads of PyTorch, 0 leaves the default.
    """

    samples: int
    steps: int
    batch: int = 8
    threads: int = 0


@dataclass(frozen=True)
class GeneratorScores:
    """A generator, or a map that needs none, and its figures.

    Attributes:
        name, file: of the generator; no file for the others.
        reading: scores on photos of known depth; None for a CycleGAN, which knows of none.
        pairs: how near its shallow photos of deep ones are to the truth.
        distance: KID to photos · 1000, None without a generator.
        subject_nearer: share of the samples whose subject lies nearer than the rest, None without a generator.
        beyond_place: share of how much nearer it lies that its place does not explain, None without a generator.
        folder: of the generated set, None without a generator.
    """

    name: str
    file: Path | None
    reading: Reading | None
    pairs: PairScores
    distance: float | None = None
    subject_nearer: float | None = None
    beyond_place: float | None = None
    folder: Path | None = None

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "weights": None if self.file is None else file_sha256(self.file)[:16],
            "depth": None if self.reading is None else self.reading.facts(),
            "deep_to_shallow": asdict(self.pairs),
            "kid_1000": self.distance,
            "subject_nearer": self.subject_nearer,
            "beyond_place": self.beyond_place,
        }


def judge_generator(
    name: str,
    file: Path,
    renderer: Path | None,
    photos: Mapping[str, Sequence[ShallowPhoto]],
    real: torch.Tensor,
    out: Path,
    effort: Effort,
    report: Report,
) -> list[GeneratorScores]:
    """All figures of one generator, and those of a lens blur that learned from its samples, if there is one.

    Args:
        name: what it is called; also the folder of its set in `out`.
        file: its weights, or the folder of its training.
        renderer: folder of lens blur weights, or None: then only its own lens is judged.
        photos: of known depth, by kind.
        real: [M, 3, S, S] in [0, 1], photos that the generated ones are compared with.
        out: folder of the evaluation.
        effort: see there.
        report: told what is being done.

    Raises:
        DofkitError: the weights cannot be read, or `out` holds another evaluation's files under this name.
    """
    network = GENERATOR.load(file)
    folder = out / "samples" / name
    report(f"{name}: {effort.samples} samples")
    made = write_generated(folder, network, settings_of(network, file, SAMPLES_SEED, None), effort.samples)
    report(f"{name}: depth network, {effort.steps} steps")
    run = RunSettings(
        out / "readers" / f"{name}-{_key(made, effort)}", effort.steps, effort.steps, resume=True, seed=READER_SEED,
        threads=effort.threads, log_every=max(1, effort.steps // 4),
    )  # fmt: skip
    training, held_out = read_generated(folder, network.config.size)
    everything = replace(training, scenes=[*training.scenes, *held_out.scenes])
    reader = train_reader(everything, run, effort.batch)
    report(f"{name}: figures")
    shallow = np.stack([photo.shallow for photo in made]).transpose(0, 3, 1, 2)
    depth = partial(read, reader)
    span = span_of(made)
    distance = 1000 * kernel_distance(real, torch.from_numpy(np.ascontiguousarray(shallow)))
    subjects, disparities = zip(*((subject_of(photo.deep), photo.disparity) for photo in made), strict=True)
    nearer = float(np.mean([subject_nearer(*sample) for sample in zip(subjects, disparities, strict=True)]))
    beyond = beyond_place(subjects, disparities)
    pairs = PairScores.of(ThroughDepth(depth, network.lens, span), photos["shallow"])
    weights = GENERATOR.at(file)
    found = [GeneratorScores(name, weights, judge(photos, depth), pairs, distance, nearer, beyond, folder)]
    if renderer is not None:
        blur = load_weights(Stage.LENS_BLUR, renderer)
        assert isinstance(blur, LensBlurNet)
        learned = PairScores.of(ThroughDepth(depth, blur, span), photos["shallow"])
        found.append(GeneratorScores(f"{name}, lens blur", weights_file(Stage.LENS_BLUR, renderer), None, learned))
    return found


def judge_without(photos: Mapping[str, Sequence[ShallowPhoto]]) -> list[GeneratorScores]:
    """What needs no generator: one distance everywhere, which leaves photos as they are, and the centre focus prior as
    a depth map, seen through the lens that a generator starts with, fully open."""
    shallow, prior = photos["shallow"], PriorSettings()

    def centre(image: Array) -> Array:
        return centre_prior(image.shape[0], prior).numpy()

    side = shallow[0].image.shape[0]
    span = ArganConfig().reach * side * float(np.ptp(centre(shallow[0].image)))
    lens = ApertureRenderer(expansion=False)
    return [
        GeneratorScores("constant", None, judge(photos, _flat), PairScores.of(unchanged, shallow)),
        GeneratorScores(
            "centre prior", None, judge(photos, centre), PairScores.of(ThroughDepth(centre, lens, span), shallow)
        ),
    ]


def judge_cyclegan(file: Path, photos: Mapping[str, Sequence[ShallowPhoto]]) -> GeneratorScores:
    """What a CycleGAN makes of deep photos; it learned from which are deep and which are shallow."""
    pairs = PairScores.of(translated_by(TRANSLATOR.load(file)), photos["shallow"])
    return GeneratorScores("CycleGAN", TRANSLATOR.at(file), None, pairs)


def judge(photos: Mapping[str, Sequence[ShallowPhoto]], predict: Callable[[Array], Array]) -> Reading:
    """Scores of a predictor (photo [S, S, 3] → disparity [S, S]) on every kind of photo."""
    maps = {kind: [predict(photo.image) for photo in photos[kind]] for kind in KINDS}
    scores = {
        kind: DepthScores.mean([DepthScores.of(d, p) for d, p in zip(maps[kind], photos[kind], strict=True)])
        for kind in KINDS
    }
    return Reading(scores, {kind: maps[kind][:SHOWN] for kind in KINDS})


def _flat(image: Array) -> Array:
    return np.zeros(image.shape[:2], np.float32)


def _key(made: GeneratedSet, effort: Effort) -> str:
    """Of what decides a reader, so that one of another set or length is not taken for it."""
    facts = [made.record.settings.model_dump(mode="json"), len(made), effort.steps, effort.batch]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]

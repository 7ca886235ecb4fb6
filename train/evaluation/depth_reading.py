"""What a generator knows of depth, read through a depth network that learned from its samples alone.

The network is trained on generated pictures and then looks at photos whose depth is known. Nothing but the generator
could have told it what is near.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from scipy.stats import spearmanr

from ...runtime_ref.pipeline.stage import Stage
from ..data.depth import Folder
from ..data.depth_augment import DepthMix, Share
from ..data.shallow_photos import PhotoSettings, ShallowPhoto, shallow_photo
from ..networks.depth import DepthNet
from ..rendering.lens import Array
from ..systems.depth import DepthRecipe, DepthSystem
from ..systems.depth_metrics import aligned, ordinal_accuracy
from ..trainer import RunSettings, endless_loader, fit
from ..weights import has_weights, load_weights, save_weights

NEAREST_TO_INFINITY = 0.05
"""Least disparity in the logarithmic error: what lies farther counts as far."""
READ_SIDE = 128
"""Side that photos, which are smaller, are enlarged to for the network."""
KINDS = ("shallow", "deep")
"""Of photos: what lies behind the subject is blurred, or all is sharp."""


@dataclass(frozen=True)
class DepthScores:
    """How well a disparity map fits the truth; means over photos.

    Attributes:
        rank: Spearman's rank correlation with the true disparity, 0 for a map without any order.
        order: probability that a pixel of the subject is nearer than one behind it, 0.5 is chance.
        error: scale-invariant logarithmic error of depth = 1 / disparity, √(mean δ² − mean² δ), δ = ln z' − ln z
            (Eigen et al. 2014, Eq. 1), after scale and shift of the disparity were fitted to the truth.
    """

    rank: float
    order: float
    error: float

    @classmethod
    def of(cls, disparity: Array, photo: ShallowPhoto) -> DepthScores:
        """Of one map [S, S]; any unit, larger is nearer."""
        truth, ours = torch.from_numpy(photo.disparity), torch.from_numpy(np.ascontiguousarray(disparity))
        rank = 0.0 if np.ptp(disparity) == 0 else float(spearmanr(disparity.ravel(), photo.disparity.ravel()).statistic)  # pyright: ignore
        fitted = aligned(ours.double(), truth.double(), torch.ones_like(truth)).clamp(min=NEAREST_TO_INFINITY)
        delta = torch.log(truth.clamp(min=NEAREST_TO_INFINITY) / fitted)
        return cls(rank, ordinal_accuracy(ours, torch.from_numpy(photo.subject)), float(delta.std(correction=0)))

    @classmethod
    def mean(cls, scores: Sequence[DepthScores]) -> DepthScores:
        """Of several photos."""
        return cls(*(float(np.mean([getattr(score, field.name) for score in scores])) for field in fields(cls)))


@dataclass(frozen=True)
class Reading:
    """What a predictor makes of the photos.

    Attributes:
        scores: by kind of photo, see `KINDS`.
        maps: [S, S] of the first photos of each kind, in [0, 1] within each.
    """

    scores: Mapping[str, DepthScores]
    maps: Mapping[str, list[Array]]

    def facts(self) -> dict[str, dict[str, float]]:
        """For JSON."""
        return {kind: asdict(scores) for kind, scores in self.scores.items()}


def held_out_photos(count: int, size: int, seed: int) -> dict[str, list[ShallowPhoto]]:
    """`count` photos of each kind."""
    settings = {kind: PhotoSettings(size, deep=float(kind == "deep")) for kind in KINDS}
    return {kind: [shallow_photo((seed, number), settings[kind]) for number in range(count)] for kind in KINDS}


def train_reader(scenes: Folder, run: RunSettings, batch: int) -> DepthNet:
    """A depth network that learned from `scenes` alone; the run's folder keeps it, and an interrupted run goes on."""
    if not has_weights(Stage.DEPTH, run.out):
        torch.manual_seed(run.seed)
        # from nothing: ImageNet must not have told it
        system = DepthSystem(DepthNet(), DepthRecipe(run.steps, encoder_rate=1.0, frozen_statistics=False))
        mix = DepthMix([Share(scenes, 1)], [(READ_SIDE, READ_SIDE)], batch * run.devices, run.seed)
        fit(system, endless_loader(mix, batch, run), None, run)
        save_weights(system.network, Stage.DEPTH, run.out)
    network = load_weights(Stage.DEPTH, run.out)
    assert isinstance(network, DepthNet)
    return network


def read(network: DepthNet, image: Array) -> Array:
    """The network's disparity [S, S] of a small photo [S, S, 3], enlarged for it and reduced again."""
    side = image.shape[0]
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
    with torch.inference_mode():
        enlarged = torch.nn.functional.interpolate(pixels, (READ_SIDE,) * 2, mode="bilinear", align_corners=False)
        disparity = torch.nn.functional.interpolate(network(enlarged), (side, side), mode="area")
    return disparity[0, 0].numpy()

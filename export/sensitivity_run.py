"""A sensitivity measurement from start to end: what `dofkit sensitivity` calls, for Python users too."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..runtime_ref.bundle import Bundle
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.pipeline.stage import Stage
from ..runtime_ref.target import Target
from ..train.brought.networks import Brought
from ..train.networks.registry import ARCHITECTURES, Architectures
from .calibration import Calibration, CalibrationSet, find_photos
from .reference_cases import matching_networks, pictures_of
from .sensitivity import Budget, Progress, Sensitivity, measure_sensitivity


@dataclass(frozen=True)
class SensitivityRequest:
    """What to measure.

    Attributes:
        bundle: a bundle's folder; it holds all stages of the target in floats.
        budget: what the mixed model must reach.
        target: whose files to quantise; None: the bundle's only one.
        images: folder of photos to judge on; None: the bundle's own pictures.
        calibration: folder of photos to measure ranges of activations on; None: those of scikit-image.
        weights: folder of the weights that the bundle was exported from; None: those that ship with dofkit.
        architectures: those that weights may be of.
        brought: networks that the bundle was exported from instead of weights.
    """

    bundle: Path
    budget: Budget
    target: Target | None = None
    images: Path | None = None
    calibration: Path | None = None
    weights: Path | None = None
    architectures: Architectures = ARCHITECTURES
    brought: Mapping[Stage, Brought] = field(default_factory=dict)


def find_sensitivity(request: SensitivityRequest, watch: Progress = lambda *_: None) -> Sensitivity:
    """Measure what int8 costs in every layer, and choose the fewest to leave in floats.

    Args:
        request: what to measure.
        watch: called with (what happens now, steps done, steps in all).

    Raises:
        DofkitError: the bundle lacks the files or is for several targets; other weights; the budget is out of reach.
    """
    bundle = Bundle.open(request.bundle)
    networks = matching_networks(bundle, request.weights, request.architectures, request.brought)
    photos = CalibrationSet.of(find_photos(request.calibration)) if request.calibration else CalibrationSet.shipped()
    with tempfile.TemporaryDirectory() as scratch:
        return measure_sensitivity(
            bundle,
            request.target or only_target(bundle),
            request.budget,
            networks,
            pictures_of(bundle, request.images),
            Calibration(photos, networks),
            Path(scratch),
            watch,
            request.architectures,
        )


def only_target(bundle: Bundle) -> Target:
    """The target of a bundle that has one.

    Raises:
        DofkitError: it has several.
    """
    targets = list(dict.fromkeys(target for target, _ in bundle.variants()))
    if len(targets) > 1:
        raise DofkitError(f"{bundle.root} is for {', '.join(map(str, targets))}; say which with --target")
    return targets[0]

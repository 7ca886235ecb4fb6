"""A failing model of a bundle, explained with what is at hand: PyTorch, or an fp32 file of the bundle that is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...backends import Session, open_session
from ...backends.tracers import open_tracer
from ...bundle import Bundle, ModelEntry
from ...bundle.golden import GoldenArrays
from ...errors import DofkitError
from ...matching import Layer
from ...pipeline.portrait import from_network
from ...pipeline.stage import Stage
from ...target import Precision
from .. import metrics
from ..tolerances import Tolerance, tolerance
from .diagnose import Evidence, diagnose
from .hypotheses import Inputs, ReferenceRun
from .localisation import Divergence, divergence_limit, first_divergence, layers_of


class Reference(Protocol):
    """What is right, and can be questioned: PyTorch (`train.reference`)."""

    def session(self, stage: Stage) -> Session:
        """It computes a stage."""
        ...

    def layers(self, model: ModelEntry, inputs: Inputs) -> list[Layer]:
        """The output of every layer that a model should compute; nothing where these are not known."""
        ...

    def variants(self, stage: Stage) -> Mapping[str, ReferenceRun]:
        """The stage computed with mistakes that only it can make: text -> run."""
        ...


def explain(
    session: Session,
    bundle: Bundle,
    model: ModelEntry,
    cases: Sequence[GoldenArrays],
    limits: Tolerance,
    reference: Reference | None = None,
) -> tuple[str, ...]:
    """Likely causes of a model's failure, the likeliest first, one line each.

    Args:
        session: the model's.
        bundle: that it belongs to.
        model: the failing one.
        cases: inputs and what is right; the first that fails is looked at.
        limits: that it failed.
        reference: PyTorch, where it is at hand.
    """
    for arrays in cases:
        inputs, right = arrays.inputs(model.stage), arrays.output(model.stage)
        output = session.run(inputs)
        if output.shape == right.shape and not limits.violations(
            metrics.picture(from_network(right), from_network(output))
        ):
            continue
        original = reference or _sibling(bundle, model, arrays)
        evidence = Evidence() if original is None else _evidence(original, bundle, model, inputs)
        return diagnose(session, model.stage, inputs, right, limits, evidence)
    return ()


def _evidence(original: Reference, bundle: Bundle, model: ModelEntry, inputs: Inputs) -> Evidence:
    def divergence() -> Divergence | None:
        tracer = open_tracer(model.stage, model.target, bundle.path(model.path), model.function)
        layers = original.layers(model, inputs)
        return first_divergence(tracer, inputs, layers, divergence_limit(model.precision)) if layers else None

    return Evidence(original.session(model.stage), original.variants(model.stage), divergence)


@dataclass(frozen=True)
class _File:
    """An fp32 file of the bundle as the reference; it knows no variants of itself."""

    bundle: Bundle
    model: ModelEntry

    def session(self, stage: Stage) -> Session:
        del stage
        return open_session(self.bundle, self.model)

    def layers(self, model: ModelEntry, inputs: Inputs) -> list[Layer]:
        if _names(model) != _names(self.model):
            return []  # another target's, for which the network was arranged otherwise
        path = self.bundle.path(self.model.path)
        return layers_of(open_tracer(model.stage, self.model.target, path, self.model.function), inputs)

    def variants(self, stage: Stage) -> Mapping[str, ReferenceRun]:
        del stage
        return {}


def _sibling(bundle: Bundle, model: ModelEntry, arrays: GoldenArrays) -> _File | None:
    """Another model of the bundle that computes the stage in fp32, and rightly.

    The same target's if there is one, else preferably one for which the network was arranged in the same way.
    """
    others = [m for m in bundle.models(precision=Precision.FP32) if m.stage is model.stage and m != model]
    for other in sorted(others, key=lambda m: (m.target is not model.target, _names(m) != _names(model))):
        try:
            output = open_session(bundle, other).run(arrays.inputs(model.stage))
        except DofkitError:
            continue
        values = metrics.picture(from_network(arrays.output(model.stage)), from_network(output))
        if not tolerance(model.stage.value, Precision.FP32, other.target, other.has_buffers).violations(values):
            return _File(bundle, other)
    return None


def _names(model: ModelEntry) -> list[str]:
    return [layer.name for layer in model.layers]

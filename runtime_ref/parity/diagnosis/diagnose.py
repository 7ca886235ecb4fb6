"""All questions to a failing file, asked in order; each answer is a line for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends import Session
from ...pipeline.stage import Stage
from ..tolerances import Tolerance
from .effects import ignored_inputs
from .hypotheses import Inputs, ReferenceRun, likely_causes
from .localisation import Divergence

Array = NDArray[np.floating[Any]]

# An output that varies less than this is constant, to the eye and to 8 bits.
_FLAT = 1e-4


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known besides the file and the reference output; nothing of it is necessary.

    Attributes:
        original: PyTorch, or the fp32 file, to make mistakes in.
        references: further ways to compute the reference: text -> run. See `train.resampling`.
        divergence: finds the first layer that parts; asked only if no mistake explains the output. See `localisation`.
    """

    original: Session | None = None
    references: Mapping[str, ReferenceRun] = field(default_factory=dict)
    divergence: Callable[[], Divergence | None] | None = None


def diagnose(
    session: Session,
    stage: Stage,
    inputs: Inputs,
    reference: Array,
    limits: Tolerance,
    evidence: Evidence | None = None,
) -> tuple[str, ...]:
    """Likely causes of a failure, the likeliest first, one line each.

    Args:
        session: the tested file.
        inputs: of the case that failed, as `Session.run` takes them.
        reference: what PyTorch computes from them, `[1, C, H, W]`.
        limits: that it failed.
        evidence: what else there is to ask.

    Returns:
        Nothing where nothing is found.
    """
    evidence = evidence or Evidence()
    output = session.run(inputs)
    faults = tuple(output_faults(output, reference))
    if output.shape != reference.shape:
        return faults
    # A mistake that explains everything comes first: what is constant, or hardly depends on an input, is its symptom.
    causes = likely_causes(session, stage, inputs, reference, limits, evidence.original, evidence.references, output)
    explained = bool(causes)
    causes += faults
    for name in ignored_inputs(session, stage, inputs, output):
        causes += (f"input ignored: the output stays the same whatever {name} holds",)
    if not explained and evidence.divergence is not None and (divergence := evidence.divergence()) is not None:
        causes += (str(divergence),)
    return causes


def output_faults(output: Array, reference: Array) -> Iterator[str]:
    """What is wrong with an output at first sight: its shape, numbers that are none, no variation."""
    if output.shape != reference.shape:
        yield f"the output's shape is {list(output.shape)}, PyTorch's is {list(reference.shape)}"
        return
    strange = int(np.count_nonzero(~np.isfinite(output)))
    if strange:
        yield f"the output holds NaN or infinity at {strange} of {output.size} places"
    elif np.ptp(output) <= _FLAT < np.ptp(reference):
        yield f"the output is constant: {float(output.mean()):.4g} everywhere"

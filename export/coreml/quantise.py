"""A saved package in floats → one whose weights, and for some precisions activations, are stored in fewer bits."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ...runtime_ref.target import Precision
from ..ranges import Ranges
from .calibration import concatenations_joined, quantise_activations
from .compress import compress
from .stored import StoredProgram
from .tools import coremltools, quietly


def quantise(base: Path, goal: Path, precision: Precision, ranges: Ranges | None, kept: Collection[str]) -> None:
    """Write a quantised package.

    Args:
        base: a package that computes in fp16, one function.
        goal: where the result goes.
        precision: one that stores weights in fewer than 16 bits.
        ranges: of the base's results, for precisions that quantise activations.
        kept: names of convolutions and fully connected layers that stay as they are, as `StoredProgram` has them.
    """
    ct = coremltools()
    with quietly():
        model = ct.models.MLModel(str(base), skip_model_load=True)
    if precision.needs_ranges:
        assert ranges is not None, f"{precision} needs ranges"
        model = quantise_activations(model, concatenations_joined(base, ranges), sorted(kept))
    program = StoredProgram(base)
    compress(model, [*program.convolutions(), *program.dense()], precision, kept).save(str(goal))

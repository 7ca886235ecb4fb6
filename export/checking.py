"""A bundle checked from Python: what `dofkit check` computes, without its reports."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime_ref.bundle import Bundle
from ..runtime_ref.parity.check import CheckOptions, ParityReport, Variant, run_parity
from ..runtime_ref.parity.tolerance_file import read_tolerances
from ..runtime_ref.pipeline.stage import Stage
from .reference_cases import cases_against, reference_at_hand

if TYPE_CHECKING:
    from ..train.brought.networks import Brought


def check_bundle(
    bundle: Path | str,
    *,
    against: str | None = None,
    images: Path | None = None,
    weights: Path | None = None,
    variants: Sequence[Variant] | None = None,
    tolerances: Path | None = None,
    options: CheckOptions | None = None,
    watch: Callable[[str], None] | None = None,
    brought: Mapping[Stage, Brought] | None = None,
) -> ParityReport:
    """Verify a bundle's files and compare every model, and every complete pipeline, with the reference's results.

    A runtime that crashes or is not installed is a row of the report, not an error.

    Args:
        bundle: its folder.
        against: what is right: "golden" (the bundle's own vectors), "pytorch" (computed now), or another bundle's
            folder (its most exact files). None: golden, or pytorch where `images` are given.
        images: a folder with photos, compared beside the bundle's own pictures; reduced to 1280 pixels.
        weights: folder of the weights that the bundle was exported from; None: those that ship with dofkit.
        variants: (target, precision) pairs; None: all that the bundle holds.
        tolerances: a team's own limits, a TOML file; see `runtime_ref.parity.tolerance_file`.
        options: how thorough the check is; see `CheckOptions`. `tolerances` go before those in it, and where it names
            no reference, PyTorch is asked for causes if it is installed and the weights are the bundle's.
        watch: called with a line before each picture and each comparison.
        brought: networks that the bundle was exported from instead of weights, see `train.brought`.

    Raises:
        DofkitError: a file of the bundle is missing or was changed; the photos, weights, limits or the other bundle
            cannot be read or do not fit.
    """
    say = watch or (lambda line: None)
    options = options or CheckOptions()
    if tolerances is not None:
        options = replace(options, tolerances=read_tolerances(tolerances))
    opened = Bundle.open(Path(bundle))
    if options.reference is None:
        options = replace(options, reference=reference_at_hand(opened, weights, brought))
    with tempfile.TemporaryDirectory() as scratch:
        cases = cases_against(opened, against, images, weights, Path(scratch), say, brought)
        return run_parity(
            opened, variants, cases, options, lambda target, precision, what: say(f"{target.title} {precision} {what}")
        )

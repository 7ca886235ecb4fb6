"""The evaluator's front door: an asset on disk as a program that can be computed."""

from __future__ import annotations

from pathlib import Path

from ..mil import MLProgram, Numerics
from .asset import Asset


def open_program(path: str | Path, function: str | None = None, numerics: Numerics = Numerics.TYPED) -> MLProgram:
    """Open a function of an asset, to be computed as `MLProgram` does.

    Args:
        path: an `.aimodel` folder.
        function: one of several entry points; `main`, or the only one, without.
        numerics: TYPED rounds every result to its declared type; IDEAL computes in float64.

    Raises:
        MissingExtraError: coreai-core is not installed.
        DofkitError: the asset is damaged, or holds an operation that is not known.
    """
    return MLProgram(Asset(Path(path)), function, numerics)

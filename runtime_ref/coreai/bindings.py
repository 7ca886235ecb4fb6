"""coreai-core's bindings, asked for by what is needed of them; one place that knows where they lie.

Some of them are private there: the pinned version is tested, `doctor` names others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DofkitError, first_line, require
from ..mil.arrays import Array
from ..quiet import silence

PACKAGE = "coreai-core"
_PURPOSE = "reading a Core AI model"


def load_module(asset: Path) -> Any:
    """The program of an asset as an MLIR module.

    Raises:
        MissingExtraError: coreai-core is not installed.
        DofkitError: Apple's reader refuses the file.
    """
    with silence():
        authoring = require("coreai.authoring.asset", "coreai", _PURPOSE)
        try:
            return authoring.AIModelAsset.load(asset).program._module._mlir_module
        except Exception as error:  # RuntimeError with the parser's words
            raise DofkitError(
                f"{asset} is not a readable Core AI model ({first_line(error)}); export it again"
            ) from error


def constant_bytes(operation: Any, size: int) -> Array:
    """The stored bytes of a constant, `[size]` uint8: sub-byte types are packed, the first value lowest.

    Args:
        operation: a `coreai.constant`.
        size: how many bytes its type takes.
    """
    compiler = require("coreai._compiler._mlir_libs._coreaiIR._bindings", "coreai", _PURPOSE).compiler
    buffer = np.zeros(max(size, 1), np.uint8)
    compiler.copy_constant_value_to_array(constant_op=operation, destination=buffer)
    return buffer[:size]

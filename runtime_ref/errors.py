"""The errors a user can mend, and the import of optional stacks that raises them.

An error here is one line: what is wrong, where, and how to mend it. The command line prints it and exits with 2.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType


class DofkitError(Exception):
    """Bad input or a missing piece that the user can mend; its text is a single helpful line.

    What a file says of itself may be quoted in it: signs that break a line or steer a terminal are shown as escapes.
    """

    def __str__(self) -> str:
        return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in super().__str__())


class MissingExtraError(DofkitError):
    """An optional stack is not installed; the text names the pip command that installs it."""


def first_line(error: Exception) -> str:
    """What a library says of its error, for an error of one line: the first that is not empty, or else its kind."""
    return next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)


def ensure_installed(package: str, extra: str, purpose: str) -> None:
    """Say in one line which extra brings `package` if it is not installed; it is not imported.

    Args:
        package: name of a top-level package.
        extra: the extra of dofkit that installs it (`onnx`, `tflite`, `coreml`, `train`, `report`).
        purpose: what needs it, as the sentence's subject ("running an ONNX model").

    Raises:
        MissingExtraError: when the package is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(
            f"{purpose} needs the package {package}, which is not installed; run: pip install 'dofkit[{extra}]'"
        )


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or say in one line which extra brings it; see `ensure_installed`.

    Args:
        module: dotted name of the module to import.
        extra, purpose: as for `ensure_installed`.

    Raises:
        MissingExtraError: when the module's package is not installed.
    """
    ensure_installed(module.partition(".")[0], extra, purpose)
    return importlib.import_module(module)

"""What computes a stage, seen from the pipeline: one protocol, whatever the runtime. Backends open such sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


class Session(Protocol):
    """One stage on one runtime. A session that several threads may run at once is a `SharedSession`, too."""

    @property
    def runtime(self) -> str:
        """Name and version of what computes, for people."""
        ...

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage.

        Args:
            inputs: the stage's inputs by name, each `[1, C, H, W]` float32 (also where the file itself is NHWC).

        Returns:
            The stage's output, `[1, C, H, W]` float32.
        """
        ...


@runtime_checkable
class SharedSession(Protocol):
    """A stage that can be computed for several tiles at once."""

    def side_by_side(self) -> tuple[Session, int]:
        """The same stage with one core a call, and how many calls may run at once."""
        ...

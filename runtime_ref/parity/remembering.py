"""Sessions that do not compute the same inputs twice: rows of a check share pictures, and some runtimes are slow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pipeline.session import Session, SharedSession

Array = NDArray[np.floating[Any]]


class Memory:
    """Results of sessions, by what computed them and by their inputs' bits."""

    def __init__(self) -> None:
        self._results: dict[tuple[str, str, bytes], Array] = {}

    def session(self, backend: str, model: str, session: Session, keep: bool = True) -> Remembered:
        """A session whose results are taken from here where they are.

        Args:
            backend, model: which result is meant; sessions of the same two compute the same.
            session: asked for the others.
            keep: whether its results are kept: not those of a pipeline, which grow with the photos.
        """
        return Remembered(self._results, (backend, model), session, keep)


class Remembered:
    """A session (see `Session`) in front of a `Memory`."""

    def __init__(
        self, results: dict[tuple[str, str, bytes], Array], key: tuple[str, str], session: Session, keep: bool
    ) -> None:
        self._results, self._key, self._session, self._keep = results, key, session, keep

    @property
    def runtime(self) -> str:
        """See `Session`."""
        return self._session.runtime

    def side_by_side(self) -> tuple[Remembered, int]:
        """See `SharedSession`; one that is none is asked for one result at a time."""
        session, workers = (
            self._session.side_by_side() if isinstance(self._session, SharedSession) else (self._session, 1)
        )
        return Remembered(self._results, self._key, session, self._keep), workers

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """See `Session`; whoever asks must not write into the result."""
        key = (*self._key, _digest(inputs))
        if key in self._results:
            return self._results[key]
        output = self._session.run(inputs)
        if self._keep:
            self._results[key] = output
        return output


def _digest(inputs: Mapping[str, Array]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name, values in sorted(inputs.items()):
        digest.update(f"{name} {values.dtype} {values.shape} ".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.digest()

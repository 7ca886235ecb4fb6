"""The learning rate that Pix2Pix and CycleGAN share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FallingRate:
    """A learning rate that stays for the first half of a run and then falls to 0 linearly, as in both papers.

    Attributes:
        steps: of the whole run.
        rate: of the first half, for every network.
    """

    steps: int
    rate: float = 2e-4

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return self.rate * min(1.0, 2 * (1 - step / self.steps))

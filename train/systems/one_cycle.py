"""The schedule and the held-out means that the trainings of depth share."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import lightning
import torch
from torchmetrics import MeanMetric


def one_cycle(optimizer: torch.optim.Optimizer, steps: int) -> dict[str, Any]:
    """An optimiser under a one-cycle cosine schedule over so many steps, as `configure_optimizers` returns it."""
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_share, steps=steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _share(step: int, steps: int) -> float:
    """Share of the peak learning rate: a linear start over a twentieth of the run, then half a cosine to 1/1000."""
    start = max(1, steps // 20)
    if step < start:
        return (step + 1) / start
    done = min(1.0, (step - start) / max(1, steps - start))
    return 0.001 + 0.999 * (1 + math.cos(math.pi * done)) / 2


def log_means(system: lightning.LightningModule, figures: torch.nn.ModuleDict) -> None:
    """Log the means of what the held-out pictures could tell, and begin anew."""
    for name, mean in figures.items():
        assert isinstance(mean, MeanMetric)
        if mean.update_called:
            system.log(name, mean.compute(), sync_dist=False)  # MeanMetric itself sums over devices
            mean.reset()

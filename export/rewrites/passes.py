"""The passes, in their order."""

from __future__ import annotations

from collections.abc import Callable

from torch import fx

from .constants import fold_constants
from .idle import drop_checks, drop_idle, reshape_views
from .norms import name_batch_norms
from .products import multiply_vectors
from .scales import centre_scale
from .writes import join_writes, take_copies

PASSES: tuple[Callable[[fx.GraphModule], None], ...] = (
    drop_checks,  # first: they keep what they check alive
    reshape_views,  # before copies go
    drop_idle,  # before folding, which looks for chains of operations between parameters
    take_copies,
    join_writes,  # before folding: what is written is often a parameter
    fold_constants,
    multiply_vectors,
    name_batch_norms,
    centre_scale,  # last: it computes the program
)

"""Graphs that are invoked."""

from __future__ import annotations

from typing import Any

from ...mil.registry import Context, Values
from ..registry import op


@op("invoke")
def invoke(context: Context, values: Values) -> tuple[Any, ...]:
    """Another graph of the program, computed for these values."""
    (block,) = context.operation.blocks
    return tuple(context.run_block(block, values))

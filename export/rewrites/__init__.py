"""Networks of others in the form that every converter takes: exported once, and rewritten by a list of passes.

Each pass is a function of a program's graph, changes it in place, and computes the same; `passes.PASSES` is the order.
Entry: `rewriting.rewritten`.
"""

from .rewriting import rewritten

__all__ = ["rewritten"]

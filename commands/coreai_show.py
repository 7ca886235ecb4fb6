"""`dofkit coreai show`: `dofkit mil show` in the words of Core AI."""

from ._mil_options import retold
from .mil_show import command as mil_command

command = retold(
    mil_command,
    """Show what a Core AI model PACKAGE holds: entry points, inputs, outputs, operations, and how weights are stored.

    A model that the evaluator cannot run, for an operation it does not know, is shown all the same.
    """,
)

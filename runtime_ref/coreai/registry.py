"""The table of Core AI's operations; how one is declared stands in `mil.registry`.

The first parameters of an operation are its operands, in the order of its definition; those after them are attributes.
A last operand that is annotated Arrays or Values takes all operands that are left.
"""

from __future__ import annotations

from ..mil.registry import OperationTable

FILES = ("compression", "control_flow", "elementwise", "reduction", "tensors", "windows")

# One operation set so far, that of iOS and macOS 27.
COREAI = OperationTable("CoreAI", 27, 27, tuple(f"{__package__}.ops.{name}" for name in FILES))
op, op_table = COREAI.op, COREAI.op_table

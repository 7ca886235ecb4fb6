"""What to say where a converter cannot take a network: the operation, the layer it is in, and the way out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import fx

from ..runtime_ref.errors import DofkitError, first_line
from ..runtime_ref.target import Precision, Target
from ..train.networks.contract import NetworkContract
from .stages import StageGraph

# As converters write PyTorch's operators: aten.roll.default, aten::roll, 'roll'.
_OPERATOR = re.compile(r"aten(?:\.|::)(\w+)|(?:op|operator|function|operation)\W+['\"`]?(\w+)['\"`]?", re.IGNORECASE)


@contextmanager
def refusing(graph: StageGraph, program: fx.GraphModule | object, target: Target) -> Iterator[None]:
    """Within it, whatever a converter raises about a rewritten network becomes one line.

    Args:
        graph: what is converted.
        program: what the converter was given.
        target: what for.

    Raises:
        DofkitError: the converter failed. Errors about dofkit's own networks pass, they are faults of ours.
    """
    try:
        yield
    except (DofkitError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # converters raise classes of their own
        if not graph.rewritten or not isinstance(program, fx.GraphModule):
            raise
        raise DofkitError(refusal(graph.stage.value, program, target, error)) from error


def refuse_onnx(
    contract: NetworkContract, targets: Sequence[Target], precisions: Sequence[Precision], preview: bool
) -> None:
    """Refuse what cannot be made of a network that was brought as an ONNX file.

    Raises:
        DofkitError: why not, and the way out.
    """
    if contract.onnx is None:
        return
    name = contract.onnx.path.name
    other = next((target for target in targets if target is not Target.ONNX), None)
    if other is not None:
        raise DofkitError(
            f"--depth-model {name}: an ONNX file is exported to ONNX only, no converter makes a file for {other.title} "
            "of it; give --target onnx, or bring the network as a .pt2 of torch.export"
        )
    if preview:
        raise DofkitError(
            f"--depth-model {name}: a preview has the depth network inside, and an ONNX file cannot be put into "
            "PyTorch's graph; leave --preview out, or bring the network as a .pt2 of torch.export"
        )
    stored = {values.dtype.name for _, values in contract.onnx.weights() if values.ndim > 1}
    made = next((precision for precision in precisions if precision is not Precision.FP32), None)
    if made is not None and (narrow := sorted(stored & {"float16", "int8", "uint8", "bfloat16"})):
        raise DofkitError(
            f"--depth-model {name} stores {narrow[0]} already, which nothing is gained by making {made} of; give "
            "--precision fp32, which leaves its numbers as they are"
        )


def refusal(stage: str, program: fx.GraphModule, target: Target, error: Exception) -> str:
    """One line: which operation a converter stopped at, where it stands, what it said, the way out."""
    node = _named_in(program, f"{error} {error.__cause__ or ''}")
    where = "the network" if node is None else f"{node.target}{_layer(node)}"
    return (
        f"{stage}: {target.title}'s converter cannot take {where} ({first_line(error)[:200]}); a pass of "
        "dofkit.export.rewrites is missing for it: replace the operation in the network, or export to another target"
    )


def _named_in(program: fx.GraphModule, text: str) -> fx.Node | None:
    """The first operation of a program that a text names."""
    named = {name for found in _OPERATOR.findall(text) for name in found if name}
    for node in program.graph.nodes:
        name = [*str(node.target).split("."), ""][1] if node.op == "call_function" else ""
        if name and named & {name, name.removeprefix("special_"), name.rstrip("_")}:
            return node
    return None


def _layer(node: fx.Node) -> str:
    """ " in PATH (CLASS)" of the module that an operation stands in; empty where nobody noted it."""
    stack = [entry for entry in (node.meta.get("nn_module_stack") or {}).values() if entry[0]]
    if not stack:
        return ""
    path, kind = stack[-1]
    name = kind if isinstance(kind, str) else kind.__name__
    return f" in {path} ({name.rpartition('.')[2]})"

"""What the converter (coreai-torch 0.4.3) would change without a word, or cannot take, refused before it is asked.

Each fault is a row of `FAULTS`; tests hold every row against the installed version, so that a mended fault is noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...runtime_ref.errors import DofkitError


@dataclass(frozen=True)
class Fault:
    """An operation that the converter does not carry over faithfully.

    Attributes:
        name: short, for tests and `dofkit doctor`.
        operation: ATen's name, without overload.
        found: whether a call, with its arguments by name, meets the fault.
        says: what happens.
        remedy: what to write instead.
    """

    name: str
    operation: str
    found: Callable[[dict[str, Any]], bool]
    says: str
    remedy: str


def _pads(arguments: dict[str, Any]) -> bool:
    padding = arguments.get("padding", 0)
    return any(padding) if isinstance(padding, list | tuple) else bool(padding)


FAULTS = (
    Fault(
        "avg_pool2d without its padding",
        "aten.avg_pool2d",
        lambda given: _pads(given) and not given.get("count_include_pad", True),
        "avg_pool2d(count_include_pad=False) is converted as if padding counted (up to 0.4 off)",
        "pool without padding, or divide by the pooled mask of ones",
    ),
    Fault(
        "avg_pool2d in ceil mode",
        "aten.avg_pool2d",
        lambda given: bool(given.get("ceil_mode", False)),
        "avg_pool2d(ceil_mode=True) cannot be converted",
        "pad the input so that the windows fit",
    ),
    Fault(
        "antialiased resize",
        "aten._upsample_bilinear2d_aa",
        lambda given: True,
        "a resize with antialias=True cannot be converted",
        "use avg_pool2d before a plain interpolate, or antialias=False",
    ),
    Fault(
        "grid_sample",
        "aten.grid_sampler",
        lambda given: True,
        "grid_sample cannot be converted",
        "resize with interpolate, or leave the warp to the app",
    ),
)


def refuse_unfaithful(exported: Any, what: str) -> None:
    """Refuse a network that the converter would not carry over faithfully.

    Args:
        exported: of `torch.export`, not decomposed yet.
        what: the network, for the error.

    Raises:
        DofkitError: the first fault that is met, and what to write instead.
    """
    for node in exported.graph.nodes:
        if node.op != "call_function" or not hasattr(node.target, "_schema"):
            continue
        name = str(node.target).rpartition(".")[0]
        for fault in FAULTS:
            if fault.operation == name and fault.found(_arguments(node)):
                raise DofkitError(f"{what}: {fault.says}; {fault.remedy}")


def _arguments(node: Any) -> dict[str, Any]:
    """The arguments of a call by their names; those that are left out are left out."""
    names = [argument.name for argument in node.target._schema.arguments]
    return dict(zip(names, node.args, strict=False)) | dict(node.kwargs)

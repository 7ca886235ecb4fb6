"""Several stages and tile sizes as entry points of one program, equal weights stored once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...runtime_ref.coreai.program import graphs
from .tools import new_context, open_module, rename_graphs, save


def join(assets: Mapping[str, Path], goal: Path) -> None:
    """Write one program with an entry point for each of several programs.

    Args:
        assets: entry point's name -> a program with one entry point.
        goal: where the result goes.
    """
    with new_context():
        whole: Any = None
        for name, asset in assets.items():
            module = open_module(asset)
            private = {s: f"{name}_{s}" for s, graph in graphs(module).items() if "priv" in graph.attributes}
            own = {symbol: name for symbol in graphs(module) if symbol not in private}
            rename_graphs(module, private | own)
            if whole is None:
                whole = module
                continue
            for operation in list(module.body.operations):
                operation.operation.detach_from_parent()
                whole.body.append(operation)
        whole.operation.verify()
        save(whole, goal)

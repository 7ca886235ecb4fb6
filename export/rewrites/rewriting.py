"""A network → its exported program, rewritten."""

from __future__ import annotations

import warnings

import torch
from torch import fx, nn

from ...runtime_ref.errors import DofkitError, first_line
from ...runtime_ref.quiet import silence
from .passes import PASSES


def rewritten(network: nn.Module, example: tuple[torch.Tensor, ...], what: str) -> fx.GraphModule:
    """The program of a network at one size, its parameters under their paths in the network.

    Args:
        network: in evaluation mode.
        example: inputs of that size.
        what: the network, for errors.

    Raises:
        DofkitError: torch.export cannot take it.
    """
    with warnings.catch_warnings(), silence(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            # Without writing in place, by an empty table: nothing is decomposed that converters know as a whole.
            module = torch.export.export(network, example, strict=False).run_decompositions({}).module()
        except Exception as error:  # torch.export raises many kinds
            raise DofkitError(
                f"{what}: torch.export cannot take the network ({first_line(error)}); make what depends on values of "
                "tensors a constant, and write into no tensor in place"
            ) from error
    assert isinstance(module, fx.GraphModule)
    for name in ("train", "eval"):  # they only raise, and the program has no other mode
        module.__dict__.pop(name, None)
    for rewrite in PASSES:
        rewrite(module)
        module.graph.eliminate_dead_code()
    module.graph.lint()
    module.recompile()
    return module

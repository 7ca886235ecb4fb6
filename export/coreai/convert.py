"""One network → one Core AI program in float32, through PyTorch's export; every other precision is made from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import fx

from ...runtime_ref.errors import DofkitError, first_line
from ...runtime_ref.target import Target
from ..refusals import refusal
from ..stages import StageGraph
from .buffers import pictures, take_buffers
from .guards import refuse_unfaithful
from .tools import converter, quietly, save


def convert(graph: StageGraph, goal: Path, buffers: bool = False) -> None:
    """Write a stage in float32; its only entry point is `main`.

    Args:
        buffers: it takes pictures as camera buffers.
    """
    names = [signal.name for signal in graph.inputs]
    module = converted(graph.computed, graph.example(), names, [graph.output.name], graph.stage.value)
    if buffers:
        take_buffers(module, pictures(graph))
    save(module, goal)


def converted(
    network: torch.nn.Module,
    example: tuple[torch.Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    what: str,
) -> Any:
    """A network as an MLIR module.

    Args:
        network: in evaluation mode.
        example: inputs of the sizes that the program is to have.
        inputs, outputs: their names.
        what: the network, for errors.

    Raises:
        MissingExtraError: coreai-torch is not installed.
        DofkitError: the network cannot be exported, or the converter would change it silently.
    """
    package = converter()
    with quietly(), torch.no_grad():
        try:
            exported = torch.export.export(network.eval(), example)
            refuse_unfaithful(exported, what)
            exported = exported.run_decompositions(package.get_decomp_table())
            staged = package.TorchConverter(mode=package.TorchConverter.Mode.RELEASE)
            staged.add_exported_program(exported, input_names=list(inputs), output_names=list(outputs))
            return staged.to_coreai()._module._mlir_module
        except DofkitError:
            raise
        except Exception as error:  # torch.export and the converter raise many kinds
            if isinstance(network, fx.GraphModule):  # of a network that was brought: it knows where its layers stand
                raise DofkitError(refusal(what, network, Target.COREAI, error)) from error
            raise DofkitError(
                f"{what}: Core AI's converter cannot take the network ({first_line(error)}); replace the operation, or "
                "export it to another target"
            ) from error

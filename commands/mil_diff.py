"""`dofkit mil diff`: the first operation where two Core ML packages, or a package and PyTorch, part."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..runtime_ref.pipeline.stage import Stage
from ._mil_options import input_option, open_program, resize_option, warn_of_inputs
from ._options import EnumChoice, FiniteFloat, json_option, weights_option

if TYPE_CHECKING:
    from ..runtime_ref.mil import MLProgram
    from ..runtime_ref.mil.diff import ProgramDiff
    from ..runtime_ref.mil.layers import NetworkDiff

Sources = tuple[tuple[str, str], ...]


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path), required=False)
@click.option("--pytorch", "stage", type=EnumChoice(Stage), help="Compare A with the PyTorch network of this stage.")
@weights_option("Folder of the PyTorch network's weights.  [default: shipped weights]", file_okay=False)
@click.option(
    "--function", "functions", multiple=True, help="Which function; given twice, the second is B's.  [default: theirs]"
)
@input_option
@click.option(
    "--random", "seed", type=click.IntRange(0), default=0, show_default=True, metavar="SEED",
    help="What fills the inputs that are missing.",
)  # fmt: skip
@resize_option
@click.option(
    "--tolerance", type=FiniteFloat(0),
    help="Results part beyond this times max|a|.  [default: 2e-2 where one computes in fp16, else 1e-4]",
)  # fmt: skip
@click.option("--all", "show_all", is_flag=True, help="Show every operation and every parameter that differs.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    a: Path,
    b: Path | None,
    stage: Stage | None,
    weights: Path | None,
    functions: tuple[str, ...],
    sources: Sources,
    seed: int,
    resize: bool,
    tolerance: float | None,
    show_all: bool,
    as_json: bool,
) -> None:
    """Compare the Core ML package A with the package B, or with PyTorch, operation by operation.

    Both compute the same inputs. Operations correspond by name, type and shape, in order; a PyTorch layer is found by
    its values. Errors add up from operation to operation: rounding to fp16 alone comes to 6e-3 of max|a| in the
    networks that ship with dofkit, and to more in deeper ones. Constant parameters are compared one by one.

    \b
    Exit codes: 0 they agree within the tolerance, 1 they part, 2 bad input.

    \b
    Examples:
        dofkit mil diff lens_blur.fp32.mlpackage lens_blur.fp16.mlpackage
        dofkit mil diff depth.fp16.mlpackage --pytorch depth --input image=photo.jpg --resize
    """
    from ..runtime_ref.errors import DofkitError
    from . import _console, _mil_facts, _mil_tables

    if (b is None) == (stage is None):
        raise DofkitError("give either a second package or --pytorch STAGE")
    if weights is not None and stage is None:
        raise DofkitError("--weights goes with --pytorch; leave it out, or name the stage")
    if len(functions) > (1 if stage else 2):
        raise DofkitError("there are more --function than packages; give one for each")
    first = open_program(a, functions[0] if functions else None)
    if stage is None:
        assert b is not None
        second = open_program(b, functions[-1] if functions else None)
        found = _programs(first, second, sources, seed, resize, tolerance)
        facts = _mil_facts.diff_facts(first, second, found)
        show = partial(_mil_tables.print_diff, first, second, found, show_all)
    else:
        found = _network(first, stage, weights, sources, seed, resize, tolerance)
        facts = _mil_facts.network_facts(first, stage, found)
        show = partial(_mil_tables.print_network_diff, first, stage, found, show_all)
    if as_json:
        _console.print_json(facts)
    else:
        show()
    ctx.exit(0 if found.agree else 1)


def _programs(
    a: MLProgram, b: MLProgram, sources: Sources, seed: int, resize: bool, tolerance: float | None
) -> ProgramDiff:
    from ..runtime_ref.mil.diff import check_comparable, compare
    from ..runtime_ref.mil.files import gather_inputs

    check_comparable(a, b)
    inputs_a, inputs_b = (gather_inputs(program.inputs, dict(sources), seed, resize) for program in (a, b))
    warn_of_inputs(a, inputs_a)
    return compare(a, b, inputs_a, inputs_b, tolerance)


def _network(
    program: MLProgram,
    stage: Stage,
    weights: Path | None,
    sources: Sources,
    seed: int,
    resize: bool,
    tolerance: float | None,
) -> NetworkDiff:
    from ..runtime_ref.errors import DofkitError, ensure_installed, first_line
    from ..runtime_ref.mil.features import FeatureKind
    from ..runtime_ref.mil.files import gather_inputs
    from ..runtime_ref.mil.layers import compare_layers, network_inputs
    from ..runtime_ref.pipeline.stage import INPUTS
    from ..runtime_ref.target import Target

    ensure_installed("torch", "train", "comparing with PyTorch")
    from ..train.networks import ARCHITECTURES
    from ..train.tracing import trace_layers
    from ..train.weights import SHIPPED, load_weights

    inputs = gather_inputs(program.inputs, dict(sources), seed, resize)
    warn_of_inputs(program, inputs)
    given = network_inputs(program, inputs, [signal.name for signal in INPUTS[stage]])
    sizes = ", ".join(f"{name} {list(value.shape)}" for name, value in given.items())
    other = f"{program.package.path} is no export of {stage}"
    mend = "name its stage, or compare it with another package"
    for signal in INPUTS[stage]:
        shape = given[signal.name].shape
        if len(shape) != 4 or shape[:2] != (1, signal.channels):
            raise DofkitError(
                f"{other}: the network takes {signal.name} [1, {signal.channels}, H, W], not {sizes}; {mend}"
            )
    loaded = load_weights(stage, weights or SHIPPED)
    network = ARCHITECTURES.contract_of(loaded).arrange(loaded, Target.COREML)
    try:
        layers, output = trace_layers(network, stage, given)
    except (RuntimeError, ValueError, IndexError) as error:  # PyTorch's words for sizes that a network cannot take
        raise DofkitError(f"{other}: the network cannot take {sizes} ({first_line(error)}); {mend}") from error
    if len(program.outputs) == 1:
        (result,) = program.outputs
        if result.kind not in (FeatureKind.TENSOR, FeatureKind.IMAGE) or result.shape not in ((), output.shape):
            raise DofkitError(f"{other}: the network gives {list(output.shape)}, the package {result}; {mend}")
    return compare_layers(program, inputs, layers, output, tolerance)

"""Rendering networks of others: an exported program, or a class of an installed package; their contract is measured."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...runtime_ref.bundle import file_sha256
from ...runtime_ref.errors import DofkitError, first_line
from ...runtime_ref.pipeline.aspects import USUAL_SIZES, Size
from ...runtime_ref.pipeline.stage import INPUTS, OUTPUTS, Signal, Stage
from ..networks.adapted import adapted, core
from ..networks.contract import Arrangement, Meaning, NetworkContract, Preprocessing, SizeRule
from ..networks.registry import ARCHITECTURES
from ..weights.terms import Terms
from .hub import ModelFacts
from .networks import Brought, NetworkOrigin
from .plugins import InstalledNetwork, installed_network
from .program import SUFFIX, load_program
from .reach import Reach, ReachMeter, measured_reach
from .remembering import remembered_reach
from .terms import warnings_of

_PROGRAMS = (SUFFIX, ".pt", ".ptl", ".torchscript")  # the latter are refused with the reason
_BESIDE = 32
"""Pixels beside both halos of the picture on which a contract is tried."""


class BroughtStage(nn.Module):
    """A rendering network of somebody else's.

    Attributes:
        config: where it is from.
        contract: it brings its own.
    """

    def __init__(
        self, network: nn.Module, order: Sequence[int], contract: NetworkContract, origin: NetworkOrigin
    ) -> None:
        """Wrap a network.

        Args:
            network: of a rendering stage.
            order: which of the stage's inputs each of its arguments is.
        """
        super().__init__()
        self.network = network
        self.config, self.contract = origin, contract
        self._order = tuple(order)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """The stage's inputs, in the stage's order → its output."""
        return self.network(*(inputs[index] for index in self._order))


def open_stage_model(text: str, stage: Stage) -> Brought:
    """Open a network of a rendering stage.

    Args:
        text: a `.pt2` of torch.export, or the name of a network that an installed package brings.
        stage: lens blur or guided upsampling.

    Raises:
        DofkitError: it is not there, damaged or unsafe to read; its inputs, output, halo or alignment are not as the
            stage, or its contract, has them.
    """
    path = Path(text)
    if path.suffix.lower() == SUFFIX or path.is_file():
        if not path.is_file():
            raise DofkitError(f"{text}: there is no such file; {_forms(stage)}")
        if path.suffix.lower() not in _PROGRAMS:
            raise DofkitError(f"{text}: its suffix is of no known kind; {_forms(stage)}")
        return _program(path, stage)
    if path.is_dir() or "/" in text:
        raise DofkitError(f"{text}: is no file {SUFFIX}; {_forms(stage)}")
    return _installed(text, installed_network(text), stage)


def _forms(stage: Stage) -> str:
    return f"{stage} takes a file {SUFFIX} of torch.export or the name of a network that a package brings"


def _program(path: Path, stage: Stage) -> Brought:
    """An exported program: its tile is the size that it was exported at, halo and alignment are measured."""
    program = load_program(path)
    order, tile = _arguments(path.name, list(program.shapes), stage), _tile(path.name, program.shapes, stage)
    if problem := SizeRule().problem(tile, tile):
        raise DofkitError(f"{path.name} takes tiles of one size: {problem}")
    contract = NetworkContract(
        architecture="exported_program",
        stage=stage,
        size=SizeRule(usual=((tile, tile),), only=True),
        rewritten=True,
    )
    origin = NetworkOrigin(path.name, "exported program", "", "", f"{tile}x{tile}")
    network = BroughtStage(program.module, order, contract, origin)
    digest = file_sha256(path)
    reach = remembered_reach(stage, digest, lambda: _tried(path.name, network, stage, tile))
    network.contract = contract = replace(contract, halo=reach.halo, align=reach.align)
    terms = Terms(provenance=f"{path.name}, brought")
    return Brought(network, contract, terms, digest, origin, warnings_of(terms))


def _tried(name: str, network: nn.Module, stage: Stage, tile: int) -> Reach:
    """How far a program sees.

    Raises:
        DofkitError: its output is no picture, or tiles of it would not fit each other.
    """
    meter = ReachMeter(network, stage, tile)
    _check_output(name, meter, stage, tile)
    reach = measured_reach(meter, tile)
    if reach is None:
        raise DofkitError(
            f"{name}: at {tile}×{tile} an output depends on the whole tile, or on where it stands in it, so that "
            "tiles would not fit each other; take out what looks over the whole picture, or export it at a larger size"
        )
    return reach


def _tile(name: str, shapes: Mapping[str, tuple[int, ...] | None], stage: Stage) -> int:
    """The side of a program's tile in pixels of the low-resolution side.

    Raises:
        DofkitError: its inputs are not those of one square tile.
    """
    signals = {signal.name: signal for signal in INPUTS[stage]}
    low = next(shape for name, shape in shapes.items() if signals[name].scale == 1)
    tile = low[-1] if low is not None and low else 0
    for each, shape in shapes.items():
        wanted = signals[each].shape(tile, tile)
        if shape != wanted:
            raise DofkitError(
                f"{name}: its input {each} is {shape or 'no tensor'}, not {wanted}; export it for square tiles, "
                f"{_listed(INPUTS[stage])}"
            )
    return tile


def _listed(signals: Sequence[Signal]) -> str:
    """ "image (1, 3, t, t), defocus (1, 1, t, t)"."""
    sides = {1: "t", 2: "2t"}
    return ", ".join(f"{s.name} (1, {s.channels}, {sides[s.scale]}, {sides[s.scale]})" for s in signals)


def _arguments(name: str, given: Sequence[str], stage: Stage) -> list[int]:
    """Which of a stage's inputs each argument of a network is, by its name.

    Raises:
        DofkitError: the names are others: two inputs of one shape would be exchanged unseen.
    """
    wanted = [signal.name for signal in INPUTS[stage]]
    if sorted(given) != sorted(wanted):
        raise DofkitError(
            f"{name} takes {', '.join(given) or 'nothing'}; a network of {stage} takes {', '.join(wanted)}: name the "
            "arguments of its forward so"
        )
    return [wanted.index(each) for each in given]


def _installed(name: str, found: InstalledNetwork, stage: Stage) -> Brought:
    """A class of an installed package, which says its contract itself."""
    what, contract = f"{name} ({found.package})", found.contract
    _check_contract(what, contract, stage)
    order = _arguments(what, _parameters(found.network), stage)
    origin = NetworkOrigin(name, f"package {found.package}", type(found.network).__name__)
    inside = _inside(contract)
    network = BroughtStage(found.network, order, inside, origin)
    _check_measured(what, network, inside)
    return Brought(network.eval(), inside, *_said(found, name), origin, warnings_of(found.terms))


def installed_depth(name: str, asked: ModelFacts) -> Brought:
    """A depth network that an installed package brings, which says its contract itself.

    Raises:
        DofkitError: see `installed_network`; it is none of depth, or something is said of it beside its contract.
    """
    found = installed_network(name)
    what, contract = f"{name} ({found.package})", found.contract
    if asked.kind is not None or asked.preprocessing is not None:
        raise DofkitError(f"{what} says itself what it gives and takes; leave --depth-kind and -normalisation out")
    _check_contract(what, contract, Stage.DEPTH)
    order = _arguments(what, _parameters(found.network), Stage.DEPTH)
    origin = NetworkOrigin(name, f"package {found.package}", type(found.network).__name__, contract.meaning.value)
    inside = _inside(contract)
    network = adapted(BroughtStage(found.network, order, inside, origin), inside).eval()
    size = next(iter(contract.size.usual or [each for each in USUAL_SIZES if not contract.size.problem(*each)]), None)
    if size is None:
        raise DofkitError(f"{what}: its contract takes none of dofkit's usual sizes; say its own as SizeRule(usual=…)")
    _check_shape(what, _computed(what, lambda: [_on_grey(network, size)])[0], OUTPUTS[Stage.DEPTH].shape(*size))
    return Brought(network, inside, *_said(found, name), origin, warnings_of(found.terms))


def _on_grey(network: nn.Module, size: Size) -> torch.Tensor:
    with torch.inference_mode():
        return network(torch.full((1, 3, *size), 0.5))


def _said(found: InstalledNetwork, name: str) -> tuple[Terms, str]:
    """Terms and digest of a package's network."""
    provenance = found.terms.provenance or f"{name} of {found.package}, brought"
    return replace(found.terms, provenance=provenance), weights_sha256(found.network, name)


def _inside(contract: NetworkContract) -> NetworkContract:
    """A contract's, of the network inside its wrapper."""
    return replace(
        contract,
        exact=tuple(f"network.{layer}" for layer in contract.exact),
        arrangements={target: _of_inner(each) for target, each in contract.arrangements.items()},
        rewritten=True,
    )


def _parameters(network: nn.Module) -> list[str]:
    return list(inspect.signature(network.forward).parameters)


def _of_inner(arrangement: Arrangement) -> Arrangement:
    """A form that is made of the network itself, for the network as it is wrapped."""

    def form(whole: nn.Module) -> nn.Module:
        inner = core(whole)
        assert isinstance(inner, BroughtStage)
        return arrangement.form(inner.network)

    return replace(arrangement, form=form)


def _check_contract(what: str, contract: NetworkContract, stage: Stage) -> None:
    """What can be told without computing.

    Raises:
        DofkitError: naming it.
    """
    if contract.stage != stage:
        raise DofkitError(f"{what} computes {contract.stage}, not {stage}; give it with the option of its stage")
    if contract.architecture in {entry.contract.architecture for entry in ARCHITECTURES}:
        raise DofkitError(f"{what}: architecture {contract.architecture!r} is dofkit's own; give the network another")
    if contract.size.multiple < 1 or contract.size.least < 1:
        raise DofkitError(
            f"{what}: multiples of {contract.size.multiple}, {contract.size.least} at least, are no sizes"
        )
    if stage is Stage.DEPTH:
        if contract.meaning is Meaning.PICTURE:
            raise DofkitError(
                f"{what}: its contract does not say what its map means; say meaning=Meaning.INVERSE_DEPTH, "
                "DEPTH or DISPARITY"
            )
        return
    if contract.halo is None or contract.halo < 0 or contract.align < 1 or contract.halo % contract.align:
        raise DofkitError(
            f"{what}: halo={contract.halo}, align={contract.align}: a network of {stage} says how many pixels around "
            "an output it sees, a multiple of align"
        )
    if contract.preprocessing != Preprocessing():
        raise DofkitError(f"{what}: {stage} takes pictures in [0, 1]; do its preprocessing in its forward")


def _check_measured(what: str, network: nn.Module, contract: NetworkContract) -> None:
    """That a network does what its contract says.

    Raises:
        DofkitError: naming what it does instead, and what to say.
    """
    assert contract.halo is not None
    step = math.lcm(contract.size.multiple, contract.align)
    side = -(-max(2 * contract.halo + max(_BESIDE, 4 * step), contract.size.least) // step) * step
    meter = ReachMeter(network, contract.stage, side)
    _check_output(what, meter, contract.stage, side)
    seen = meter.reach(contract.align)
    if seen is None:
        raise DofkitError(
            f"{what}: an output depends on the whole picture, or on {side // 2} pixels around it at least, and the "
            f"contract says halo={contract.halo}; take out what looks over the whole picture, or say a larger halo"
        )
    if seen > contract.halo:
        least = -(-seen // contract.align) * contract.align
        raise DofkitError(f"{what}: it sees {seen} pixels around an output; say halo={least}, not {contract.halo}")
    if not meter.moves_along(contract.align, contract.halo):
        raise DofkitError(
            f"{what}: moved by {contract.align} pixels it computes something else, so that tiles would not fit each "
            f"other; say the align that it has (its strides multiplied), or take out what depends on the place"
        )


def _check_output(what: str, meter: ReachMeter, stage: Stage, side: int) -> None:
    """That it gives a picture of its stage's size in [0, 1].

    Raises:
        DofkitError: it cannot compute, or gives something else.
    """
    output, wanted = OUTPUTS[stage], OUTPUTS[stage].shape(side, side)
    if fault := _computed(what, meter.faults)[0]:
        raise DofkitError(f"{what} {fault}")
    for found in _computed(what, meter.outputs):
        _check_shape(what, found, wanted)
        low, high = float(found.min()), float(found.max())
        if not (output.low - 1e-6 <= low <= high <= output.high + 1e-6):  # NaN is in no range
            raise DofkitError(
                f"{what} gives values from {low:.3g} to {high:.3g}; end its forward with .clamp({output.low}, "
                f"{output.high})"
            )


def _check_shape(what: str, found: object, wanted: tuple[int, ...]) -> None:
    if not isinstance(found, torch.Tensor) or tuple(found.shape) != wanted:
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise DofkitError(f"{what} gives {shape}, not {wanted}; make it give one picture or map of its input's size")


def _computed(what: str, outputs: Callable[[], Any]) -> list[Any]:
    try:
        return list(outputs())
    except Exception as error:  # whatever a network of others raises
        raise DofkitError(f"{what} cannot compute ({first_line(error)}); try it on the inputs of its stage") from error


def weights_sha256(network: nn.Module, name: str) -> str:
    """Of a network's name and all its numbers."""
    digest = hashlib.sha256(name.encode())
    for key, tensor in network.state_dict().items():
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()

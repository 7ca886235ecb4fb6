"""Estimates of latency before there is a device: the roofline of operations and bytes. Never a measurement.

Each operation takes the longer of computing at the unit's greatest rate and moving its numbers at the memory's
(Williams et al. 2009, "Roofline: an insightful visual performance model"). Real runtimes take longer, by a factor that
is measured on this machine and told beside every estimate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ..runtime_ref.backends import default_backend
from ..runtime_ref.backends.latency import TimeBudget
from ..runtime_ref.bundle import Bundle, ModelEntry
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.target import Precision, Target
from .bench import BenchRequest, bench
from .lint.graph import Graph, Node
from .lint.readers import read_graph
from .machine import this_machine
from .profile import DeviceUnit, Profile
from .rates import Rates, rates_here

_BYTES = {"float16": 2, "bfloat16": 2, "int8": 1, "uint8": 1, "bool": 1, "int16": 2, "float64": 8, "int64": 8}
_QUICK = TimeBudget(runs=10, seconds=2)


@dataclass(frozen=True)
class Cost:
    """What an operation, or a file, asks for.

    Attributes:
        flops: multiplications and additions.
        moved: bytes of its inputs, weights and results.
    """

    flops: float
    moved: float

    def milliseconds(self, rates: Rates) -> float:
        """The longer of computing and moving."""
        return max(self.flops / rates.gflops, self.moved / rates.bandwidth) / 1e6


@dataclass(frozen=True)
class Estimate:
    """An estimate of one file.

    Attributes:
        model: the file.
        cost: of all its operations.
        milliseconds: the sum of its operations' rooflines.
        bound: the part of that which is spent moving numbers, 0 to 1.
        here: the same for this machine; None where it was not validated.
        measured: median here; None where no runtime here computes the file.
    """

    model: ModelEntry
    cost: Cost
    milliseconds: float
    bound: float
    here: float | None = None
    measured: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times its estimate the file takes on this machine."""
        return None if self.here is None or self.measured is None else self.measured / self.here

    def as_json(self) -> dict[str, object]:
        """For machines."""
        model = self.model
        return {
            "is_estimate": True,
            "target": model.target.value,
            "precision": model.precision.value,
            "stage": model.name,
            "flops": self.cost.flops,
            "bytes": self.cost.moved,
            "milliseconds": self.milliseconds,
            "memory_bound": self.bound,
            "measured_to_estimated_here": self.ratio,
        }


def profile_rates(profile: Profile, unit: DeviceUnit = DeviceUnit.CPU) -> Rates:
    """The rates that a profile states.

    Raises:
        DofkitError: it has no such unit, or states no rate of it.
    """
    found = next((one for one in profile.accelerators if one.unit is unit), None)
    if found is None:
        there = ", ".join(one.unit.value for one in profile.accelerators)
        raise DofkitError(f"{profile.title} has no {unit.title}; it has {there}")
    if found.gflops is None or profile.bandwidth is None:
        raise DofkitError(
            f"no public document states the rates of {profile.title}'s {unit.title}; give --gflops and --bandwidth"
        )
    return Rates(found.gflops.value, profile.bandwidth.value, unit)


def cost_of(graph: Graph, node: Node) -> Cost:
    """What an operation asks for; a multiplication and an addition are two."""
    result = graph.result(node)
    values = math.prod(result.sizes) if result is not None else 0
    inputs = [graph.tensors[name] for name in dict.fromkeys(node.inputs) if name in graph.tensors]
    moved = sum(_bytes(tensor.element) * math.prod(tensor.sizes) for tensor in inputs)
    moved += _bytes(result.element) * values if result is not None else 0
    if (one := node.convolution) is not None:
        return Cost(2.0 * one.terms * values, moved + (0 if one.weights is None else one.weights.nbytes))
    return Cost(float(node.terms or 1) * values, moved)


def _bytes(element: str) -> int:
    return _BYTES.get(element, 4)


def roofline(graph: Graph, rates: Rates) -> tuple[Cost, float, float]:
    """A file's cost, its time in milliseconds, and the part of that which is spent moving numbers."""
    costs = [cost_of(graph, node) for node in graph.nodes]
    times = [(one.milliseconds(rates), one.moved / rates.bandwidth > one.flops / rates.gflops) for one in costs]
    total = sum(value for value, _ in times)
    bound = sum(value for value, is_bound in times if is_bound) / total if total else 0.0
    return Cost(sum(one.flops for one in costs), sum(one.moved for one in costs)), total, bound


def estimate_bundle(
    bundle: Path | str,
    rates: Rates,
    *,
    targets: Sequence[Target] = (),
    precisions: Sequence[Precision] = (),
    validate: bool = True,
) -> tuple[Estimate, ...]:
    """Verify a bundle's files and estimate each, with what the same estimate is worth on this machine.

    Args:
        bundle: its folder.
        rates: of the unit; targets that it does not compute are left out.
        targets, precisions: of the files; empty: all.
        validate: measure this machine's rates and every file that a runtime here computes.

    Raises:
        DofkitError: a file is missing or was changed, or the unit computes none.
    """
    opened = Bundle.open(Path(bundle))
    variants = [
        (target, precision)
        for target, precision in opened.variants()
        if target in (targets or rates.unit.targets)
        and target in rates.unit.targets
        and (not precisions or precision in precisions)
    ]
    if not variants:
        there = ", ".join(f"{target} {precision}" for target, precision in opened.variants())
        raise DofkitError(f"{opened.root} holds nothing that {rates.unit.title} computes; it holds {there}")
    here = rates_here(this_machine().cores) if validate else None
    return tuple(one for variant in variants for one in _of_variant(opened, variant, rates, here))


def _of_variant(
    bundle: Bundle, variant: tuple[Target, Precision], rates: Rates, here: Rates | None
) -> Iterator[Estimate]:
    measured = {} if here is None else _measured(bundle, variant)
    for model in bundle.models(*variant):
        graph = read_graph(bundle, model)
        cost, milliseconds, bound = roofline(graph, rates)
        expected = None if here is None else roofline(graph, here)[1]
        yield Estimate(model, cost, milliseconds, bound, expected, measured.get(model.name))


def _measured(bundle: Bundle, variant: tuple[Target, Precision]) -> dict[str, float]:
    """Medians on this machine by the models' names, with all its cores; nothing where no runtime is here."""
    usual = default_backend(variant[0])
    if usual.facts.is_reference:
        return {}
    target, precision = variant
    cores = this_machine().cores
    request = BenchRequest(bundle, usual, target, precision, cores, _QUICK, photos=(), preview=False)
    return {one.stage.value: one.p50 for one in bench(request).stages}


def typical_ratio(found: Sequence[Estimate]) -> float | None:
    """The median of the ratios that were measured here; None where none was."""
    ratios = [one.ratio for one in found if one.ratio is not None]
    return median(ratios) if ratios else None

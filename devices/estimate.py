"""Estimates of latency before there is a device: the roofline of operations and bytes. Never a measurement.

Each operation takes the longer of computing at the unit's greatest rate and moving its numbers at the memory's
(Williams et al. 2009, "Roofline: an insightful visual performance model"). Real runtimes take longer, by a factor that
is measured on this machine and told beside every estimate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..runtime_ref.bundle import Bundle, ModelEntry
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.target import Precision, Target
from .device import Device
from .estimate_validation import Validation, Yardstick, counted, measured_times, yardsticks
from .lint.graph import Graph, Node
from .lint.readers import read_graph
from .profile import DeviceUnit, Profile
from .rates import Rates, rates_here

_BYTES = {"float16": 2, "bfloat16": 2, "int8": 1, "uint8": 1, "bool": 1, "int16": 2, "float64": 8, "int64": 8}
# A core of Arm's multiplies and adds 128 bits of floats an instruction, four pairs of bytes a lane with SDOT, and moves
# 16 bytes (Arm, Cortex-A76 Software Optimization Guide).
_VECTOR = 16


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
        validations: the same estimates for what is at hand, beside what was measured there.
    """

    model: ModelEntry
    cost: Cost
    milliseconds: float
    bound: float
    validations: tuple[Validation, ...] = ()

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
            "validations": [one.as_json() for one in self.validations],
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


def instructions_of(graph: Graph) -> float:
    """Vector instructions of a run on ARM, in millions: those that compute and those that move."""
    return sum(_instructions(graph, node) for node in graph.nodes) / 1e6


def _instructions(graph: Graph, node: Node) -> float:
    cost = cost_of(graph, node)
    given = next((graph.tensors[name] for name in node.inputs if name in graph.tensors), None)
    lanes = _VECTOR / (4 if given is None else min(_bytes(given.element), 4))
    return cost.flops / (2 * lanes) + cost.moved / _VECTOR


def estimate_bundle(
    bundle: Path | str,
    rates: Rates,
    *,
    targets: Sequence[Target] = (),
    precisions: Sequence[Precision] = (),
    devices: Sequence[Device] = (),
) -> tuple[Estimate, ...]:
    """Verify a bundle's files and estimate each, with what the same estimate is worth where they can be computed.

    Args:
        bundle: its folder.
        rates: of the unit; targets that it does not compute are left out.
        targets, precisions: of the files; empty: all.
        devices: "host", "browser" or "arm64", where every file is computed; empty: nowhere.

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
    sticks = {target: yardsticks(devices, target) for target, _ in variants}
    threads = {stick.threads for several in sticks.values() for stick in several if not stick.counts}
    here = {count: rates_here(count) for count in threads}
    return tuple(one for variant in variants for one in _of_variant(opened, variant, rates, sticks[variant[0]], here))


def _of_variant(
    bundle: Bundle,
    variant: tuple[Target, Precision],
    rates: Rates,
    sticks: Sequence[Yardstick],
    here: Mapping[int, Rates],
) -> Iterator[Estimate]:
    graphs = {model.name: (model, read_graph(bundle, model)) for model in bundle.models(*variant)}
    found: dict[str, list[Validation]] = {name: [] for name in graphs}
    for stick in sticks:
        for name, one in _validated(bundle, variant, graphs, stick, here):
            found[name].append(one)
    for name, (model, graph) in graphs.items():
        yield Estimate(model, *roofline(graph, rates), tuple(found[name]))


def _validated(
    bundle: Bundle,
    variant: tuple[Target, Precision],
    graphs: Mapping[str, tuple[ModelEntry, Graph]],
    stick: Yardstick,
    here: Mapping[int, Rates],
) -> Iterator[tuple[str, Validation]]:
    """What a backend makes of every file; where it cannot, its first words stand for all."""
    facts, reason, times = stick.backend.facts, "", dict[str, float]()
    if not stick.counts:
        try:
            times = measured_times(bundle, stick, *variant)
        except DofkitError as error:
            reason = str(error)
    for name, (model, graph) in graphs.items():
        measured = times.get(name)
        if stick.counts and not reason:
            try:
                measured = counted(bundle, stick, model)
            except DofkitError as error:
                reason = str(error)
        expected = instructions_of(graph) if stick.counts else roofline(graph, here[stick.threads])[1]
        unit = "million instructions" if stick.counts else "ms"
        yield name, Validation(stick.device, facts.id, facts.title, unit, expected, measured, reason)

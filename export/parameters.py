"""Stored weights of layers that are no convolutions: looked for among all that a file stores, by their values.

Converters transpose them, give them other names, merge equal ones and move them between operations; what they do not
do is change the numbers, but for the rounding of their storage. Where a layer's numbers stand in no tensor of the file
they were folded into others, or are wrong: that cannot be told here, and the layer counts as not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime_ref.bundle import LayerEntry
from .folded import FOLDING, JOINING, OtherLayer

Array = NDArray[Any]

_ALIKE = 0.5
"""Share of equal numbers from which a tensor is taken for a layer's, and the others for wrong."""
_SAMPLE = 256
"""Numbers that are compared first, to choose the tensor."""
_FACTORS = np.concatenate([np.arange(2, 257) ** -0.5, np.arange(2, 257) ** -0.25])
"""What scales queries and keys of heads of 2 to 256 channels, where it is applied to one of them or to both."""


@dataclass(frozen=True, eq=False)
class StoredConstant:
    """A tensor of numbers in a file, whatever it is for.

    Attributes:
        name: in the file.
        values: float64, dequantised.
        stored: "fp32", "fp16", "int8" …
        step: the greatest rounding that this storage may cause to a number; broadcasts against the values.
    """

    name: str
    values: Array
    stored: str
    step: Array | float


@dataclass(frozen=True)
class _Found:
    """A parameter in a file."""

    stored: str
    difference: float
    problem: str = ""
    constant: str = ""


def constants_of(layer: OtherLayer, constants: Sequence[StoredConstant]) -> frozenset[str]:
    """The names of the constants, of a file in floats, that hold a layer's matrices."""
    by_size = _by_size(constants)
    for parameters, rounding in ((layer.parameters, FOLDING), (layer.joined, JOINING)):
        matrices = {name: values for name, values in parameters.items() if values.ndim == 2}
        found = [match for match in _parameters(matrices, by_size, rounding).values() if match is not None]
        if names := frozenset(match.constant for match in found if not match.problem) - {""}:
            return names
    return frozenset()


def compare_others(expected: Sequence[OtherLayer], constants: Sequence[StoredConstant]) -> tuple[LayerEntry, ...]:
    """Compare a network's layers with a file's constants, one entry a layer.

    Returns:
        `problem` where a tensor holds most but not all of a parameter's numbers; `uncompared` where none does.
    """
    by_size = _by_size(constants)
    entries, joined = {}, set()
    for layer in expected:
        found = _parameters(layer.parameters, by_size)
        if None in found.values() and layer.joined:
            other = _parameters(layer.joined, by_size, JOINING)
            if None not in other.values():
                found = other
                joined.add(layer.name)
        entries[layer.name] = _entry(layer, found)
    for layer in expected:
        if layer.joined_into and joined.issuperset(layer.joined_into):  # its numbers were compared there
            entries[layer.name] = entries[layer.name].model_copy(update={"uncompared": ""})
    return tuple(entries.values())


def _by_size(constants: Sequence[StoredConstant]) -> dict[int, list[StoredConstant]]:
    found: dict[int, list[StoredConstant]] = {}
    for constant in constants:
        found.setdefault(constant.values.size, []).append(constant)
    return found


def _parameters(
    wanted: Mapping[str, Array], by_size: dict[int, list[StoredConstant]], rounding: float = FOLDING
) -> dict[str, _Found | None]:
    return {name: _search(name, values, by_size, rounding) for name, values in wanted.items()}


def _entry(layer: OtherLayer, found: Mapping[str, _Found | None]) -> LayerEntry:
    missing = [name for name, match in found.items() if match is None]
    matches = {name: match for name, match in found.items() if match is not None}
    return LayerEntry(
        name=layer.name,
        parameters=sum(values.size for values in layer.parameters.values()),
        stored="+".join(sorted({match.stored for match in matches.values()} - {""})),
        difference=max((match.difference for match in matches.values()), default=0.0),
        problem="; ".join(f"{name} {match.problem}" for name, match in matches.items() if match.problem),
        uncompared=f"the file stores no tensor like the {' and '.join(missing)} of this {layer.kind}"
        if missing
        else "",
    )


def _search(
    name: str, wanted: Array, by_size: dict[int, list[StoredConstant]], rounding: float = FOLDING
) -> _Found | None:
    """The tensor that holds a parameter's numbers, if there is one."""
    forms = [form for constant in by_size.get(wanted.size, ()) for form in _forms(constant, wanted.shape)]
    if rounding == JOINING:
        forms = [_computed_in_half(form) for form in forms]
    if forms:
        places = np.linspace(0, wanted.size - 1, min(wanted.size, _SAMPLE)).astype(int)
        sample = wanted.reshape(-1)[places]
        values, step, stored, constant = max(forms, key=lambda form: _agreeing(sample, _taken(form, places), rounding))
        fits = _fits(wanted, values, step, rounding)
        if fits.mean() >= _ALIKE:
            problem = "" if fits.all() else f"differs in {int((~fits).sum())} of {fits.size} numbers"
            return _Found(stored, float(np.abs(values - wanted).max()), problem, constant)
    if not wanted.any() and name.endswith("bias"):
        return _Found("", 0.0)  # adding zeros: no converter keeps that
    if wanted.ndim == 1 and (wanted == 1).all():
        return _Found("", 0.0)  # multiplying by one, too
    return _scaled(wanted, forms, places, rounding) if forms else None


def _scaled(wanted: Array, forms: Sequence[_Form], places: Array, rounding: float) -> _Found | None:
    """The tensor that holds a parameter's numbers times the factor of attention, 1/√d or its root, for any width d of a
    head: converters multiply it into the layers that give queries and keys.
    """
    sample = wanted.reshape(-1)[places].astype(np.float64)
    power = float(sample @ sample)
    for form in forms if power > 0 else ():
        values, step, stored, constant = form
        estimate = float(values.reshape(-1)[places] @ sample) / power
        factor = float(_FACTORS[np.abs(_FACTORS - estimate).argmin()])
        if not _fits(sample * factor, *_taken(form, places), rounding).all():
            continue
        if _fits(wanted * factor, values, step, rounding).all():
            return _Found(stored, float(np.abs(values / factor - wanted).max()), constant=constant)
    return None


_Form = tuple[Array, Array, str, str]
"""Values and steps, how they are stored, and the constant's name."""


def _forms(constant: StoredConstant, shape: tuple[int, ...]) -> Iterator[_Form]:
    """A constant's values and steps with its axes in every order that gives a parameter's shape, or merged, as those of
    channels in groups; kernels also turned round, as a transposed convolution is stored where it is computed as a plain
    one."""
    inner = tuple(n for n in shape if n != 1)
    values = np.squeeze(constant.values)
    steps = np.squeeze(np.broadcast_to(constant.step, constant.values.shape))
    if values.ndim != len(inner):
        if len(inner) > 4:
            return
        values, steps = values.reshape(inner), steps.reshape(inner)
    for axes in permutations(range(values.ndim)):
        if tuple(values.shape[axis] for axis in axes) == inner:
            turned = [values.transpose(axes).reshape(shape), steps.transpose(axes).reshape(shape)]
            yield turned[0], turned[1], constant.stored, constant.name
            if len(shape) == 4:
                yield turned[0][..., ::-1, ::-1], turned[1][..., ::-1, ::-1], constant.stored, constant.name


def _computed_in_half(form: _Form) -> _Form:
    """A form whose numbers were computed of others that the same storage rounded before: in float16 both terms of a sum
    may be off by half a unit in the last place, too, as may be a factor."""
    values, steps, stored, constant = form
    return (values, steps + 2 * steps.max(initial=0.0), stored, constant) if stored == "fp16" else form


def _taken(form: _Form, places: Array) -> tuple[Array, Array]:
    return form[0].reshape(-1)[places], form[1].reshape(-1)[places]


def _agreeing(wanted: Array, found: tuple[Array, Array], rounding: float) -> float:
    return float(_fits(wanted, *found, rounding).mean())


def _fits(wanted: Array, found: Array, step: Array, rounding: float) -> Array:
    """Where a file's numbers are a parameter's within the rounding of storage and of arithmetic."""
    return np.abs(found - wanted) <= step + rounding * np.abs(wanted).max(initial=0.0)

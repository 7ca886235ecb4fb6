"""The layers of a network that can be quantised, and what they are called in a file of it.

Not every format carries the names of PyTorch's modules. Convolutions are told by the order of their calls, fully
connected layers by their numbers, which converters transpose and scale but do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..runtime_ref.errors import DofkitError
from .folded import FoldedLayer, NetworkWeights
from .parameters import StoredConstant, constants_of
from .stored import Found, Judged, StoredWeights, aligned, compare_in_order, within_rounding


def layer_calls(weights: NetworkWeights, stored: StoredWeights[Any], path: Path) -> dict[str, frozenset[str]]:
    """What each layer that can be quantised is called in a file in floats; one that is called several times has several
    names there.

    Args:
        weights: what the network computes with.
        stored: how the file is read and judged.
        path: of the file.

    Returns:
        Path of the layer in the PyTorch network -> names in the file: convolutions in the order of their calls, then
        fully connected layers.

    Raises:
        DofkitError: the file is not the network's.
    """
    found = list(stored.convolutions(path))
    if weights.others:
        found = aligned(weights.convolutions, found)
    calls = convolution_calls(weights.convolutions, found, stored.judge)
    return {name: frozenset(names) for name, names in calls.items()} | _dense_calls(weights, stored.dense(path))


def _dense_calls(weights: NetworkWeights, dense: Mapping[str, StoredConstant]) -> dict[str, frozenset[str]]:
    """The fully connected operations of a file, by the layers whose numbers they compute with."""
    by_constant: dict[str, set[str]] = {}
    for name, constant in dense.items():
        by_constant.setdefault(constant.name, set()).add(name)
    constants = list({constant.name: constant for constant in dense.values()}.values())
    found = {}
    for layer in weights.others:
        if names := {name for constant in constants_of(layer, constants) for name in by_constant[constant]}:
            found[layer.name] = frozenset(names)
    return found


def convolution_calls(
    layers: Sequence[FoldedLayer],
    stored: Sequence[Found],
    judge: Callable[[FoldedLayer, Found], Judged] = within_rounding,
) -> dict[str, set[str]]:
    """What each convolution is called in a float32 file, by the order of the calls.

    Args:
        layers, stored: all calls of convolutions, in the network and in the file.
        judge: holds one against the other.

    Raises:
        DofkitError: the file is not the network's.
    """
    wrong = next((entry for entry in compare_in_order(layers, stored, judge) if entry.problem), None)
    if wrong is not None:
        problem = f"{wrong.name}: {wrong.problem}"
        raise DofkitError(f"layers cannot be found in the file: {problem}; export it in fp32 or fp16")
    calls: dict[str, set[str]] = {}
    for layer, call in zip(layers, stored, strict=True):
        calls.setdefault(layer.name, set()).add(call.name)
    return calls


def names_in_file(
    names: Collection[str],
    weights: NetworkWeights,
    stored: StoredWeights[Any],
    path: Path,
) -> frozenset[str]:
    """Layers of a network by their names in a file of it in floats.

    Args:
        names: paths of the layers in the PyTorch network.
        weights, stored, path: as for `layer_calls`.

    Raises:
        DofkitError: the file is not the network's, or has not one of them.
    """
    if not names:
        return frozenset()
    calls = layer_calls(weights, stored, path)
    refuse_unknown(names, calls)
    return frozenset(call for name in names for call in calls[name])


def refuse_unknown(names: Collection[str], layers: Collection[str]) -> None:
    """Refuse a recipe for another network.

    Raises:
        DofkitError: naming the first layer that the network has not.
    """
    unknown = sorted(set(names).difference(layers))
    if unknown:
        raise DofkitError(f"the network has no layer {unknown[0]!r} to keep in floats; run `dofkit sensitivity` again")

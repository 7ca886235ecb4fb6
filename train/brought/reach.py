"""How far a rendering network sees, and whether it computes the same wherever it stands: measured, not believed.

Tiles equal the whole picture if an output depends on no more than its halo around it, and if moving the input by a
multiple of the alignment moves the output along and changes nothing. Both are tried on random pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

from ...runtime_ref.pipeline.stage import INPUTS, OUTPUTS, Signal, Stage

Tensors = tuple[torch.Tensor, ...]

LEAST = 1e-5
"""A change that counts: a tenth of what an exported fp32 file may differ by; convolutions of other blocks round."""
_ALIGNMENTS = (1, 2, 4, 8, 16, 32)
_AXES = (-1, -2)


@dataclass(frozen=True)
class Reach:
    """Of a rendering network, in pixels of its low-resolution side.

    Attributes:
        halo: pixels around an output that it depends on, a multiple of `align`.
        align: it computes the same wherever multiples of this put it.
    """

    halo: int
    align: int


class ReachMeter:
    """Asks a network on random pictures of one size."""

    def __init__(self, network: Callable[..., torch.Tensor], stage: Stage, side: int) -> None:
        """Ask a network.

        Args:
            network: of a rendering stage.
            stage: its inputs and output.
            side: of its low-resolution inputs in pixels.
        """
        self._network, self._side = network, side
        self._signals, self._output = INPUTS[stage], OUTPUTS[stage]

    def reach(self, align: int) -> int | None:
        """How far an output sees beyond a border at a multiple of `align`, in each of four directions.

        Returns:
            Pixels; None: to the end of the picture at least.
        """
        border = self._side // 2 // align * align
        farthest = 0
        for (one, other), expected in zip(self._pairs, self._expected, strict=True):
            for axis in _AXES:
                near, far = self._mixed(one, other, border, axis), self._mixed(other, one, border, axis)
                for mixed, before in ((near, border), (far, self._side - border)):
                    changed = (self._computed(mixed) - expected).abs().amax([n for n in range(4) if n != axis % 4])
                    places = (changed > LEAST).nonzero() // self._output.scale
                    if not len(places):
                        continue
                    first, last = int(places.min()), int(places.max())
                    seen = border - first if mixed is near else last + 1 - border
                    if seen >= before:
                        return None
                    farthest = max(farthest, seen)
        return farthest

    def moves_along(self, align: int, halo: int) -> bool:
        """Whether the output moves by `align` pixels, farther than `halo` from the border, when the input does."""
        one, other = self._pairs[0]
        scale = self._output.scale
        inner = slice(scale * halo, scale * (self._side - halo))
        for axis in _AXES:
            there = self._computed(self._moved(one, other, align, axis))
            here = self._expected[0]
            if axis == -2:
                here, there = here.transpose(-1, -2), there.transpose(-1, -2)
            last = scale * (self._side - halo - align)
            moved, expected = (
                there[..., inner, scale * halo : last],
                here[..., inner, scale * (halo + align) : last + scale * align],
            )
            if (moved - expected).abs().amax() > LEAST:
                return False
        return True

    def faults(self) -> Iterator[str]:
        """What keeps it from being measured, in words; the last is empty."""
        (one, _), _ = self._pairs
        before = [values.clone() for values in one]
        twice = [self._network(*one) for _ in range(2)]
        if not all(map(torch.equal, one, before)):
            yield "writes into its inputs; compute with copies"
        if isinstance(twice[0], torch.Tensor) and not torch.equal(*twice):
            yield "gives two results for one input; take out what is random"
        yield ""

    def outputs(self) -> Iterator[torch.Tensor]:
        """What it gives for random pictures, for black and for white."""
        yield from self._expected
        for value in (0.0, 1.0):
            yield self._computed(tuple(torch.full(self._shape(signal), value) for signal in self._signals))

    @cached_property
    def _pairs(self) -> tuple[tuple[Tensors, Tensors], ...]:
        """Two random inputs each, of all values, and of the least and greatest ones only."""
        generator = torch.Generator().manual_seed(0)
        drawn = [[torch.rand(self._shape(signal), generator=generator) for signal in self._signals] for _ in range(4)]
        one, other, *extreme = drawn
        return tuple(
            (self._ranged(first), self._ranged(second))
            for first, second in ((one, other), [[values.round() for values in each] for each in extreme])
        )

    @cached_property
    def _expected(self) -> list[torch.Tensor]:
        """The outputs for the first of each pair."""
        return [self._computed(one) for one, _ in self._pairs]

    def _ranged(self, drawn: list[torch.Tensor]) -> Tensors:
        return tuple(s.low + (s.high - s.low) * values for s, values in zip(self._signals, drawn, strict=True))

    def _mixed(self, first: Tensors, second: Tensors, border: int, axis: int) -> Tensors:
        """One picture before a border, and another from it on."""
        return tuple(
            torch.cat(
                [
                    a.narrow(axis, 0, s.scale * border),
                    b.narrow(axis, s.scale * border, b.shape[axis] - s.scale * border),
                ],
                axis,
            )
            for a, b, s in zip(first, second, self._signals, strict=True)
        )

    def _moved(self, first: Tensors, second: Tensors, align: int, axis: int) -> Tensors:
        """A picture without its first pixels, and the first ones of another behind it."""
        return tuple(
            torch.cat(
                [a.narrow(axis, s.scale * align, a.shape[axis] - s.scale * align), b.narrow(axis, 0, s.scale * align)],
                axis,
            )
            for a, b, s in zip(first, second, self._signals, strict=True)
        )

    def _computed(self, inputs: Tensors) -> torch.Tensor:
        with torch.inference_mode():
            return self._network(*inputs)

    def _shape(self, signal: Signal) -> tuple[int, int, int, int]:
        return signal.shape(self._side, self._side)


def measured_reach(meter: ReachMeter, side: int) -> Reach | None:
    """The least halo and alignment with which tiles of a size equal the whole picture; None: there are none."""
    for align in _ALIGNMENTS:
        if side % align or 4 * align > side:
            break
        if not meter.moves_along(align, side // 4 // align * align):
            continue
        seen = meter.reach(align)
        halo = side if seen is None else -(-seen // align) * align
        if 2 * halo + align < side and meter.moves_along(align, halo):
            return Reach(halo, align)
    return None

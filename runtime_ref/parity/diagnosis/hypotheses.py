"""Which mistake explains a file's output? Every known one is tried in two ways, and judged by how near that comes.

It is made in PyTorch, where that can be asked; and undone around the tested file, which needs nothing but the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...backends import Session
from ...pipeline.stage import INPUTS, OUTPUTS, Stage
from .. import metrics
from ..tolerances import Tolerance
from .mistakes import BGR, DEFOCUS, DISPARITY, GEOMETRY, IMAGE_VALUES, LAYOUT, Array, Mistake
from .shift import measured_shift, shifted

Inputs = Mapping[str, Array]
ReferenceRun = Callable[[Inputs], Array]

# A mistake explains an output when it brings it within the limits and clearly nearer than before (the loosest limits,
# those of 4-bit weights, are so wide that a wrong output may come within them by chance); or much nearer, and near. dB.
_NEARER, _MUCH_NEARER, _NEAR = 6.0, 10.0, 35.0
# What explains so much less than the best (dB) is its shadow: BGR in one image where it is in all.
_SHADOW = 10.0
# Made in PyTorch, a mistake that a file makes brings outputs at least so much nearer (dB), or it is not tried on the
# file: files are slow, and what they cut off leaves the rest.
_PROMISING = 3.0
_CERTAIN = 60.0  # dB; what is within the limits and so near needs no rival
# Least shift of an output that is worth a line; rounding moves the estimate by a hundredth. Undone by interpolation it
# comes no nearer than that blurs, hence the rim that does not count.
_LEAST_SHIFT, _RIM = 0.1, 8
_NOTHING = (frozenset(), None)  # what a hypothesis does to the inputs that is about the output alone
# Rank correlation from which on one map falls where the other rises.
_FALLING = -0.98


@dataclass(frozen=True)
class Hypothesis:
    """A mistake that changes certain inputs, the output, or both.

    Attributes:
        text: says it in a line.
        inputs: the change that the mistake makes to inputs by name, and its inverse.
        output: the same for the output.
        exchanged: two inputs that take each other's place.
    """

    text: str
    inputs: Mapping[str, Mistake]
    output: Mistake | None = None
    exchanged: tuple[str, str] | None = None

    def make(self, inputs: Inputs) -> Inputs:
        """The inputs as the mistake changes them."""
        changed = {name: mistake.make(inputs[name]) for name, mistake in self.inputs.items()}
        return self._exchange({**inputs, **changed})

    def undo(self, inputs: Inputs) -> Inputs:
        """The inputs that the mistake makes these of."""
        inputs = self._exchange(inputs)
        return {**inputs, **{name: mistake.undo(inputs[name]) for name, mistake in self.inputs.items()}}

    def make_output(self, output: Array) -> Array:
        """The output as the mistake changes it."""
        return output if self.output is None else self.output.make(output)

    def undo_output(self, output: Array) -> Array:
        """The output that the mistake makes this of."""
        return output if self.output is None else self.output.undo(output)

    @property
    def changes(self) -> Any:
        """What it does to the inputs, to compare."""
        return frozenset((name, mistake.text) for name, mistake in self.inputs.items()), self.exchanged

    def _exchange(self, inputs: Inputs) -> Inputs:
        if self.exchanged is None:
            return inputs
        first, second = self.exchanged
        return {**inputs, first: inputs[second], second: inputs[first]}


def hypotheses(stage: Stage) -> Iterator[Hypothesis]:
    """Every mistake that is tried for a stage."""
    images = [signal.name for signal in INPUTS[stage] if signal.channels == 3]
    maps = [signal.name for signal in INPUTS[stage] if signal.channels == 1]
    output = OUTPUTS[stage]
    for mistake in (BGR, *IMAGE_VALUES, *LAYOUT):
        yield from (_of_inputs(mistake, group) for group in (images, *([n] for n in images if len(images) > 1)))
        if output.channels == 3:
            yield _of_output(mistake, output.name)
            yield _of_both(mistake, images, output.name)
    for mistake in GEOMETRY:
        yield _of_inputs(mistake, images + maps)
        yield _of_output(mistake, output.name)
        yield _of_both(mistake, images + maps, output.name)
    if stage is Stage.DEPTH:
        yield from (_of_output(mistake, output.name) for mistake in DISPARITY)
    for name in maps:
        yield from (_of_inputs(mistake, [name]) for mistake in (*DEFOCUS, *GEOMETRY))
    for i, first in enumerate(INPUTS[stage]):
        for second in INPUTS[stage][i + 1 :]:
            if (first.channels, first.scale) == (second.channels, second.scale):
                yield Hypothesis(
                    f"inputs {first.name} and {second.name} exchanged", {}, None, (first.name, second.name)
                )


def _of_inputs(mistake: Mistake, names: list[str]) -> Hypothesis:
    return Hypothesis(mistake.text.format(", ".join(names)), dict.fromkeys(names, mistake))


def _of_output(mistake: Mistake, name: str) -> Hypothesis:
    return Hypothesis(mistake.text.format(f"the output {name}"), {}, mistake)


def _of_both(mistake: Mistake, names: list[str], output: str) -> Hypothesis:
    """A file that lives in another world: its inputs come from there, and its output goes back there."""
    text = f"{mistake.text.format(', '.join(names))}, and the reverse with the output {output}"
    return Hypothesis(text, dict.fromkeys(names, mistake), mistake.reversed)


def likely_causes(
    session: Session,
    stage: Stage,
    inputs: Inputs,
    reference: Array,
    limits: Tolerance,
    original: Session | None = None,
    references: Mapping[str, ReferenceRun] | None = None,
    output: Array | None = None,
) -> tuple[str, ...]:
    """Mistakes that explain why a file's output is not the reference's, the best first, one line each with figures.

    Args:
        session: the tested file.
        inputs: as `Session.run` takes them.
        reference: what PyTorch computes from them, `[1, C, H, W]`.
        limits: of this comparison.
        original: PyTorch, or the fp32 file, to make the mistakes in as well.
        references: further ways to compute the reference, each a mistake of its own: text -> run.
        output: what the file computes from the inputs, where that is known already.

    Returns:
        Nothing where the output is within the limits, or where no mistake brings it near.
    """
    plain = session.run(inputs) if output is None else output
    if plain.shape != reference.shape:
        return ()
    judge = _Judge(reference, plain, limits)
    if judge.satisfied:
        return ()
    found: list[_Match] = []
    for match in _matches(judge, session, stage, inputs, original, references or {}):
        found.append(match)
        if match.within and match.psnr >= _CERTAIN:
            break
    good = sorted((match for match in found if match.explains), key=lambda match: -match.psnr)
    best: dict[str, str] = {}
    for match in good:
        if match.psnr >= good[0].psnr - _SHADOW:
            best.setdefault(match.cause, match.figure)
    near = tuple(f"{cause}; {figure}" for cause, figure in best.items())
    return near or (tuple(judge.falling()) if stage is Stage.DEPTH else ())


def _matches(
    judge: _Judge,
    session: Session,
    stage: Stage,
    inputs: Inputs,
    original: Session | None,
    references: Mapping[str, ReferenceRun],
) -> Iterator[_Match]:
    """Everything that can be tried, what takes least time first."""
    yield judge.shifted()
    for text, run in references.items():
        yield judge.made(text, _attempt(lambda run=run: run(inputs)))
    promising = list(hypotheses(stage))
    if original is not None:
        tried = _tried(promising, original, judge.reference, inputs, Hypothesis.make)
        promising = []
        for hypothesis, output in tried:
            match = judge.made(hypothesis.text, hypothesis.make_output(output))
            yield match
            if match.psnr >= judge.before + _PROMISING:
                promising.append(hypothesis)
    for hypothesis, output in _tried(promising, session, judge.output, inputs, Hypothesis.undo):
        yield judge.undone(hypothesis.text, hypothesis.undo_output(output))


def _tried(
    among: Iterable[Hypothesis],
    session: Session,
    plain: Array,
    inputs: Inputs,
    change: Callable[[Hypothesis, Inputs], Inputs],
) -> Iterator[tuple[Hypothesis, Array]]:
    """Hypotheses, and what a session computes from the inputs that it changes; without those that it refuses.

    Args:
        plain: what it computes from the unchanged inputs.
        change: made or undone.
    """
    runs: dict[Any, Array | None] = {_NOTHING: plain}
    for hypothesis in among:
        key = hypothesis.changes
        if key not in runs:
            runs[key] = _attempt(lambda h=hypothesis: session.run(_contiguous(change(h, inputs), inputs)))
        output = runs[key]
        if output is not None:
            yield hypothesis, output


def _contiguous(changed: Inputs, inputs: Inputs) -> Inputs:
    """Inputs as runtimes want them.

    Raises:
        ValueError: a change gave another shape (height and width exchanged in what is not square).
    """
    if any(changed[name].shape != value.shape for name, value in inputs.items()):
        raise ValueError("another shape")
    return {name: np.ascontiguousarray(value, np.float32) for name, value in changed.items()}


def _attempt(run: Callable[[], Array]) -> Array | None:
    """What a run gives; None where it fails: numbers that no camera gives may be refused, or overflow."""
    try:
        return run()
    except Exception:  # every runtime raises classes of its own
        return None


@dataclass(frozen=True)
class _Match:
    """How near a mistake brings the output.

    Attributes:
        cause: the mistake.
        figure: says how near.
        psnr: the same in dB.
        within: whether that is within the limits.
        explains: whether it explains the failure.
    """

    cause: str
    figure: str = ""
    psnr: float = -np.inf
    within: bool = False
    explains: bool = False


@dataclass(frozen=True, eq=False)
class _Judge:
    """One case: what PyTorch computes, what the file computes, and how near they must be."""

    reference: Array
    output: Array
    limits: Tolerance

    @property
    def satisfied(self) -> bool:
        """Whether the output is within the limits as it is."""
        return bool(np.isfinite(self.output).all()) and not self.limits.violations(_values(self.reference, self.output))

    @property
    def before(self) -> float:
        """PSNR of the output as it is."""
        return metrics.psnr(self.reference, self.output) if np.isfinite(self.output).all() else -np.inf

    def made(self, text: str, mistaken: Array | None) -> _Match:
        """What PyTorch computes with a mistake made, against the file's output."""
        return self._match(text, "made in PyTorch too, the output", mistaken, self.output)

    def undone(self, text: str, mended: Array | None) -> _Match:
        """What the file computes with a mistake undone, against PyTorch's output."""
        return self._match(text, "with that undone, the output", self.reference, mended)

    def shifted(self) -> _Match:
        """The output moved back by the shift that is measured."""
        rim = _RIM
        if min(self.output.shape[2:]) <= 4 * rim or not np.isfinite(self.output).all() or not self.output.std():
            return _Match("")
        down, right = measured_shift(self.reference, self.output)
        if not _LEAST_SHIFT <= max(abs(down), abs(right)) <= rim / 2:
            return _Match("")
        inner = (slice(None), slice(None), slice(rim, -rim), slice(rim, -rim))
        mended = shifted(self.output, -down, -right)[inner]
        before, after = (metrics.psnr(self.reference[inner], picture) for picture in (self.output[inner], mended))
        text = f"output shifted by {down:+.2f} pixels down, {right:+.2f} right: a resize with other pixel centres"
        figure = f"with that undone, PSNR within the border rises from {before:.1f} to {after:.1f} dB"
        return _Match(text, figure, after, explains=after - before >= _NEARER)

    def falling(self) -> Iterator[str]:
        """Whether the output is the reference turned round by some curve."""
        ranks = [values.ravel()[:: max(1, values.size // 4096)] for values in (self.reference, self.output)]
        first, second = (np.unique(values, return_inverse=True)[1] for values in ranks)
        if not first.any() or not second.any():
            return
        correlation = float(np.corrcoef(first, second)[0, 1])
        if correlation < _FALLING:
            figure = f"rank correlation {correlation:.3f}"
            yield f"depth for disparity: the output falls where the reference rises ({figure})"

    def _match(self, text: str, what: str, expected: Array | None, found: Array | None) -> _Match:
        if expected is None or found is None or expected.shape != found.shape:
            return _Match(text)
        if not (np.isfinite(expected).all() and np.isfinite(found).all()):
            return _Match(text)
        values = _values(expected, found)
        gain, psnr = values["psnr"] - self.before, values["psnr"]
        within = not self.limits.violations(values) and gain >= _NEARER
        figure = f"{what} is within {values['max_abs']:.2g} of the reference (PSNR {psnr:.1f} dB)"
        return _Match(text, figure, psnr, within, within or (gain >= _MUCH_NEARER and psnr >= _NEAR))


def _values(reference: Array, output: Array) -> dict[str, float]:
    return {"max_abs": metrics.max_abs(reference, output), "psnr": metrics.psnr(reference, output)}

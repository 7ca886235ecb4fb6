"""What changed between two bundles: files, operations, declarations, recorded parity, and what of it is a regression.

Nothing is computed here but differences: parity is what each export recorded, latency is measured by the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel

from ..bundle import Bundle, ModelEntry, TensorEntry
from ..bundle.golden import read_golden
from ..pipeline.aspects import size_text
from ..pipeline.stage import Stage
from ..target import Precision, Target
from ..validation import read_json
from .verdict import PIPELINE, RUNTIME, RowKey, Verdict

PARITY = "parity.json"

# What a photographer's and an engineer's PSNR drop by counts; beyond 100 dB (1/400 of an 8-bit step RMS) a change is
# another order of summation, not quality.
_COMPARED = ("psnr", "focus_psnr", "edge_psnr", "highlight_psnr")
_ENOUGH_PSNR = 100.0

Variant = tuple[Target, Precision]
Key = TypeVar("Key")


@dataclass(frozen=True)
class Limits:
    """How much worse the new bundle may be.

    Attributes:
        size_growth: of a model's file and of a variant's files together, as a share of the old size.
        psnr_drop: of any comparison, in dB.
        slowdown: of a stage's median latency, as a share of the old one.
        removal: whether variants, models and comparisons may vanish.
    """

    size_growth: float = 0.05
    psnr_drop: float = 1.0
    slowdown: float = 0.10
    removal: bool = False


@dataclass(frozen=True)
class SizeChange:
    """A model's file (or all files of a variant) in bytes; None where it is not there."""

    title: str
    old: int | None
    new: int | None


@dataclass(frozen=True)
class OperationChange:
    """How many operations of each kind a model has more (> 0) or fewer (< 0) than before."""

    title: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class FactChange:
    """Something that a manifest declares; None where it does not."""

    where: str
    old: str | None
    new: str | None


class RecordedRow(BaseModel):
    """A row of `parity.json`; keys that another version writes besides are not read.

    Attributes:
        scope: what was compared, for people.
        stage: the stage; None for the whole pipeline.
        backend, device: what computed; versions before 0.2 did not write them.
        tile: side of the tiles where it is not the plan's.
        depth_size: of a depth network's input where it is not the plan's first.
        grade: what the eye sees of the difference.
    """

    target: Target
    precision: Precision
    scope: str
    verdict: Verdict
    metrics: dict[str, float] = {}
    decisive: bool = True
    stage: Stage | None = None
    backend: str | None = None
    device: str = ""
    tile: int | None = None
    depth_size: tuple[int, int] | None = None
    grade: str | None = None

    @property
    def key(self) -> RowKey | None:
        """The row's identity; None where an older version wrote it."""
        if self.backend is None:
            return None
        scope = self.stage.value if self.stage else PIPELINE if self.backend else RUNTIME
        return RowKey(scope, self.target, self.precision, self.backend, self.device, self.tile, self.depth_size)

    @property
    def title(self) -> str:
        """Target, precision and what was compared."""
        return f"{self.variant} {self.scope}"

    @property
    def variant(self) -> str:
        """Target and precision."""
        return _variant((self.target, self.precision))


class _Recorded(BaseModel):
    results: tuple[RecordedRow, ...]


@dataclass(frozen=True)
class ParityChange:
    """One comparison as both exports recorded it; None where it was not made."""

    title: str
    old: RecordedRow | None
    new: RecordedRow | None


@dataclass(frozen=True)
class LatencyChange:
    """Median latency of a stage, measured now, in milliseconds; an error is one line about what could not be measured.

    Attributes:
        title: target, precision and stage.
        broken: the old one ran and the new one does not.
    """

    title: str
    old: float | None
    new: float | None
    error: str = ""
    broken: bool = False

    @property
    def ratio(self) -> float | None:
        """New over old."""
        return self.new / self.old if self.new is not None and self.old else None


@dataclass(frozen=True)
class BundleDiff:
    """Everything that differs between two bundles.

    Attributes:
        old, new: their folders' names.
        added, removed: variants (target and precision) and models in one of them only.
        sizes: every file of models and the sum of every variant, changed or not.
        parity: every comparison, changed or not.
        latency: None when it was not measured.
        notes: what limits the comparison.
        regressions: one line for each change beyond the limits.
    """

    old: str
    new: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    sizes: tuple[SizeChange, ...]
    operations: tuple[OperationChange, ...]
    facts: tuple[FactChange, ...]
    parity: tuple[ParityChange, ...]
    latency: tuple[LatencyChange, ...] | None
    notes: tuple[str, ...]
    regressions: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON data."""
        rows = [
            {
                "title": row.title,
                **{side: r.model_dump(mode="json") if r else None for side, r in (("old", row.old), ("new", row.new))},
            }
            for row in self.parity
        ]
        return {**asdict(self), "parity": rows}


def diff_bundles(
    old: Bundle, new: Bundle, limits: Limits, latency: Sequence[LatencyChange] | None = None
) -> BundleDiff:
    """Compare two bundles.

    Args:
        old, new: opened (and so verified) bundles.
        limits: how much worse the new one may be.
        latency: what was measured on this machine, if it was.

    Raises:
        DofkitError: a bundle's `parity.json` is missing or not readable.
    """
    removed = tuple(_only_in(old, new))
    sizes = tuple(SizeChange(*row) for row in _paired(_sizes(old), _sizes(new)))
    parity = tuple(_paired_rows(_recorded(old), _recorded(new)))
    measured = None if latency is None else tuple(latency)
    return BundleDiff(
        old=old.root.name,
        new=new.root.name,
        added=tuple(_only_in(new, old)),
        removed=removed,
        sizes=sizes,
        operations=tuple(_operations(old, new)),
        facts=tuple(FactChange(*row) for row in _paired(_facts(old), _facts(new)) if row[1] != row[2]),
        parity=parity,
        latency=measured,
        notes=tuple(_notes(old, new, measured)),
        regressions=tuple(_regressions(removed, sizes, parity, measured or (), limits)),
    )


def _paired(old: Mapping[str, Key], new: Mapping[str, Key]) -> Iterator[tuple[str, Key | None, Key | None]]:
    """(name, old value, new value) in the old one's order, what is only in the new one last."""
    return ((name, old.get(name), new.get(name)) for name in dict.fromkeys([*old, *new]))


def _paired_rows(old: Sequence[RecordedRow], new: Sequence[RecordedRow]) -> Iterator[ParityChange]:
    """Rows of the same key; what an older version wrote without one is the row of the same title."""
    keys = {row.title: row.key for row in (*old, *new) if row.key is not None}
    before, after = ({row.key or keys.get(row.title) or row.title: row for row in rows} for rows in (old, new))
    for key in dict.fromkeys([*before, *after]):
        row, other = before.get(key), after.get(key)
        named = other or row
        assert named is not None
        yield ParityChange(named.title, row, other)


def _variant(variant: Variant) -> str:
    return f"{variant[0].title} {variant[1]}"


def _only_in(bundle: Bundle, other: Bundle) -> Iterator[str]:
    """Variants that the other has not, then models that it lacks in the variants that both have."""
    there = other.variants()
    yield from (_variant(variant) for variant in bundle.variants() if variant not in there)
    titles = {_title(model) for model in other.manifest.models}
    for model in bundle.manifest.models:
        if (model.target, model.precision) in there and _title(model) not in titles:
            yield _title(model)


def _title(model: ModelEntry) -> str:
    """A model's name in both bundles, whatever its file is called."""
    tiles = f" (tiles of {model.tile})" if model.tile is not None else ""
    return f"{_variant((model.target, model.precision))} {_part(model)}{tiles}"


def _part(model: ModelEntry) -> str:
    """Its stage, with the input's size if the stage is there at several."""
    return model.stage.value if model.depth_size is None else f"{model.stage} of {size_text(model.depth_size)}"


def _sizes(bundle: Bundle) -> dict[str, int]:
    """Bytes of every model's file (a package is a folder, and models may share one), and of every variant."""
    found: dict[str, int] = {}
    for variant in bundle.variants():
        sharing: dict[str, list[ModelEntry]] = {}
        for model in bundle.manifest.models:
            if (model.target, model.precision) == variant:
                sharing.setdefault(model.path, []).append(model)
        sizes = {path: _bytes(bundle, path) for path in sharing}
        for path, models in sharing.items():
            stages = " + ".join(dict.fromkeys(map(_part, models)))
            found[f"{_variant(variant)} {stages}"] = sizes[path]
        if any(len(models) > 1 for models in sharing.values()) or len(sharing) > 1:
            found[f"{_variant(variant)}, all"] = sum(sizes.values())
    return found


def _bytes(bundle: Bundle, path: str) -> int:
    files = bundle.manifest.files.items()
    return sum(entry.bytes for name, entry in files if name == path or name.startswith(f"{path}/"))


def _operations(old: Bundle, new: Bundle) -> Iterator[OperationChange]:
    before, after = ({_title(m): m.operators for m in bundle.manifest.models} for bundle in (old, new))
    for title in (title for title in before if title in after):
        counts = Counter(after[title])
        counts.subtract(before[title])
        changed = {name: count for name, count in sorted(counts.items()) if count}
        if changed:
            yield OperationChange(title, changed)


def _facts(bundle: Bundle) -> dict[str, str]:
    """What an app or a maintainer relies on, one line a fact."""
    manifest = bundle.manifest
    facts = dict(_flat("plan", manifest.plan.model_dump(mode="json")))
    facts |= _flat("convention", manifest.conventions)
    for stage, network in manifest.networks.items():
        facts |= _flat(f"{stage} network", network.model_dump(mode="json"))
    for model in manifest.models:
        title = _title(model)
        facts |= {f"{title}: input {tensor.name}": _tensor(tensor) for tensor in model.inputs}
        facts |= {f"{title}: output {tensor.name}": _tensor(tensor) for tensor in model.outputs}
        facts |= {f"{title}: needs": model.deployment, f"{title}: stored as": model.storage}
    return facts | dict(_flat("made with", manifest.tools))


def _flat(prefix: str, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix} {key}", value)
        else:
            yield f"{prefix} {key}", str(value)[:12] if key.endswith("sha256") else str(value)


def _tensor(tensor: TensorEntry) -> str:
    return f"{tensor.summary}, {tensor.dtype} in [{tensor.low:g}, {tensor.high:g}]: {tensor.meaning}"


def _recorded(bundle: Bundle) -> tuple[RecordedRow, ...]:
    return read_json(bundle.path(PARITY), _Recorded, "export the bundle again").results


def _notes(old: Bundle, new: Bundle, latency: tuple[LatencyChange, ...] | None) -> Iterator[str]:
    if _pictures(old) != _pictures(new):
        yield "the golden pictures or their lenses differ: parity was recorded on different inputs"
    if latency is None:
        yield "latency was not compared; --latency measures both bundles on this machine"
    for row in latency or ():
        if row.error:
            yield f"{row.title}: latency was not compared: {row.error}"


def _pictures(bundle: Bundle) -> list[tuple[str, float, float, bytes]]:
    """What the recorded parity was measured on."""
    return [
        (case.name, case.focus, case.aperture, np.asarray(read_golden(bundle.path(case.path)).photo).tobytes())
        for case in bundle.manifest.golden
    ]


def _regressions(
    removed: Iterable[str],
    sizes: Iterable[SizeChange],
    parity: Iterable[ParityChange],
    latency: Iterable[LatencyChange],
    limits: Limits,
) -> Iterator[str]:
    if not limits.removal:
        yield from (f"{title} is gone" for title in removed)
    for size in sizes:
        if size.old and size.new is not None and size.new > size.old * (1 + limits.size_growth):
            yield f"{size.title}: {size.new / size.old - 1:+.1%} bytes, the limit is {limits.size_growth:+.1%}"
    for row in parity:
        if row.old is None or row.old.variant not in removed:
            yield from _parity_regressions(row, limits)
    for row in latency:
        if row.broken:
            yield f"{row.title}: ran before and does not run now"
        if row.ratio is not None and row.ratio > 1 + limits.slowdown:
            yield f"{row.title}: {row.ratio - 1:+.1%} latency, the limit is {limits.slowdown:+.1%}"


def _parity_regressions(row: ParityChange, limits: Limits) -> Iterator[str]:
    if row.new is None:
        if row.old is not None and row.old.decisive and not limits.removal:
            yield f"{row.title}: was compared before ({row.old.verdict}) and is not now"
        return
    if row.new.verdict is Verdict.FAIL and (row.old is None or row.old.verdict is not Verdict.FAIL):
        yield f"{row.title}: FAIL" + (f", was {row.old.verdict}" if row.old else "")
    if row.old is None:
        return
    if row.old.verdict is Verdict.PASS and row.new.verdict is Verdict.NOT_RUN:
        yield f"{row.title}: NOT RUN, was PASS"
    for name in _COMPARED:
        if name in row.old.metrics and name in row.new.metrics:
            before, after = (min(side.metrics[name], _ENOUGH_PSNR) for side in (row.old, row.new))
            if not after >= before - limits.psnr_drop:  # also when it is not a number
                yield f"{row.title}: {name} {before:.1f} → {after:.1f} dB, the limit is −{limits.psnr_drop:g} dB"

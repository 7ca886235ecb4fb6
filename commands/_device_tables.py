"""The tables of `dofkit devices`, `dofkit lint` and `dofkit estimate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from ._console import stdout

if TYPE_CHECKING:
    from ..devices.estimate import Estimate
    from ..devices.lint.finding import LintFinding
    from ..devices.lint.run import LintReport
    from ..devices.profile import Profile, Sourced

_STYLES = {"error": "bold red", "warning": "yellow"}
_SHOWN = 3  # nodes of one rule in one file


def _table(*columns: str) -> Table:
    table = Table(title_justify="left")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def print_profiles(profiles: Mapping[str, Profile]) -> None:
    """A line a profile."""
    table = _table("name", "device", "released", "chip", "memory GB", "units", "targets")
    for name, one in profiles.items():
        units = ", ".join(unit.unit.title for unit in one.accelerators)
        targets = ", ".join(one.targets)
        table.add_row(name, one.title, _text(one.released), _text(one.chip), _text(one.memory_gb), units, targets)
    stdout().print(table)


def print_profile(profile: Profile) -> None:
    """A line a figure, with its source, and a page that says the same."""
    table = _table("what", "figure", "source", "opened")
    named = {
        "released": profile.released,
        "chip": profile.chip,
        "CPU cores": profile.cores,
        "memory, GB": profile.memory_gb,
        "memory, GB/s": profile.bandwidth,
        "system": profile.system,
    }
    for unit in profile.accelerators:
        facts = {
            "name": unit.name,
            "arithmetic": unit.arithmetic,
            "channels at once": unit.channels,
            "row, bytes": unit.row_bytes,
            "texture, pixels": unit.texture,
            "GFLOP/s": unit.gflops,
        }
        known = {what: figure for what, figure in facts.items() if figure is not None}
        named |= {f"{unit.unit.title}: {what}": figure for what, figure in (known or {"there": None}).items()}
    for one in profile.deployments:
        named |= {f"{one.target.title}: precisions": one.precisions, f"{one.target.title}: system": one.system}
    for what, figure in named.items():
        where = ("", "") if figure is None else (figure.source, figure.seen)
        table.add_row(what, _text(figure) or "not known", *where)
    console = stdout()
    console.print(profile.title, markup=False, style="bold")
    console.print(table)


def _text(figure: Sourced[Any] | None) -> str:
    if figure is None:
        return ""
    value = figure.value
    return (
        ", ".join(map(str, value))
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def print_lint(report: LintReport, title: str) -> None:
    """The findings, those of one rule in one file together; what several units meet is said once."""
    console = stdout()
    groups: dict[tuple[str, str], list[LintFinding]] = {}
    for one in report.findings:
        groups.setdefault((one.rule, one.model.location), []).append(one)
    for found in groups.values():
        first, style = found[0], _STYLES[found[0].severity.value]
        lines = list(dict.fromkeys(map(_line, found)))
        units = ", ".join(dict.fromkeys(one.unit.title for one in found))
        file = f"{first.model.target.title} {first.model.precision} {first.model.name}"
        console.print(f"[{style}]{first.severity}[/{style}] {first.rule}: {file} on {units}, {len(lines)}×")
        for line in lines[:_SHOWN]:
            console.print(f"    {line}", markup=False)
        if len(lines) > _SHOWN:
            console.print(f"    … and {len(lines) - _SHOWN} more, see --json", markup=False)
        if (measured := report.measured(first)) is not None:
            console.print(f"    {measured}", markup=False)
        console.print(f"    → {first.rewrite}", markup=False)
    for line in report.not_run:
        console.print(line, markup=False)
    counts = Counter(one.severity.value for one in report.findings)
    words = ", ".join(f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items()) or "nothing found"
    console.print(f"{title}: {words} in {report.files} files", markup=False)


def _line(one: LintFinding) -> str:
    node = one.node and f"node {_short(one.node)}"
    where = ", ".join(filter(None, (node, one.module and f"module {one.module}")))
    return one.message + (f" ({where})" if where else "")


def _short(name: str) -> str:
    """A node's name; of TFLite's paths of modules the end only."""
    return name if len(name) <= 60 else f"…{name[-59:]}"


def print_estimates(found: Sequence[Estimate], title: str) -> None:
    """A line a file; what the estimates are worth beside them, and for each backend together."""
    from ..devices.estimate_validation import spread_of

    asked = [one for estimate in found for one in estimate.validations]
    devices = {one.device: one.compared for one in asked}
    worth = [f"measured / estimated: {device}, {what}" for device, what in devices.items()] or ["measured / estimated"]
    table = _table("file", "stage", "MFLOP", "MB moved", "estimate, ms", "memory-bound", *worth)
    for one in found:
        ratios = {each.device: each.ratio for each in one.validations}
        told = ["not known" if (ratio := ratios.get(name)) is None else f"{ratio:.1f}" for name in devices]
        file = f"{one.model.target.title} {one.model.precision}"
        sizes = (f"{one.cost.flops / 1e6:.0f}", f"{one.cost.moved / 1e6:.1f}", f"{one.milliseconds:.2f}")
        table.add_row(file, one.model.name, *sizes, f"{one.bound:.0%}", *(told or ["not known"]))
    console = stdout()
    console.print(f"ESTIMATE (roofline, no measurement): {title}", markup=False, style="bold")
    console.print(table)
    for id, title in {one.backend: one.title for one in asked}.items():
        theirs = [one for one in asked if one.backend == id]
        reason = next((one.reason for one in theirs if one.reason), "")
        words = spread_of(theirs) or f"NOT RUN ({reason})"
        console.print(f"{title}, {theirs[0].compared}, measured / estimated: {words}", markup=False)
    console.print("A device has ratios of its own.", markup=False)

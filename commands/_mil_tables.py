"""What the commands of `dofkit mil` show to people: tables and lines; `_mil_facts` has the same for machines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from ..runtime_ref.mil import Evaluation, MLProgram, Numerics, ProgramPackage
from ..runtime_ref.mil import contents as held
from ..runtime_ref.mil.diff import Difference, ProgramDiff, computes_in_half, counted
from ..runtime_ref.mil.layers import LayerDiff, LayerFinding, NetworkDiff
from ..runtime_ref.mil.program import Function, TensorType, ValueType
from ..runtime_ref.pipeline.stage import Stage
from ._console import stdout
from ._mil_facts import bound_name, feature_kind, output_facts, result_shape, weight_facts

# Rows around the first that parts; or, where none does, the rows that come nearest to it.
_BEFORE, _AFTER, _WORST = 3, 4, 8
_PARTS = "bold red"


def print_run(program: MLProgram, evaluation: Evaluation, seconds: float, files: Mapping[str, list[str]]) -> None:
    """`mil run` as a table of outputs."""
    table = _table("Outputs", ["name", "type", "shape"], ["min", "max", "mean"])
    for feature in program.outputs:
        facts = output_facts(feature, evaluation.outputs[feature.name])
        if "value" in facts:
            _row(table, facts["name"], facts["type"], facts["value"], "", "", "")
        else:
            numbers = (_number(facts[name]) for name in ("min", "max", "mean"))
            _row(table, facts["name"], facts["type"], _shape(facts["shape"]), *numbers)
    console = stdout()
    console.print(table)
    for event in evaluation.non_finite:
        _say(f"numbers stop being finite at {event}", _PARTS)
    for file in (file for written in files.values() for file in written):
        _say(f"wrote {file}")
    rounding = "rounded to the program's types" if program.numerics is Numerics.TYPED else "in float64, not rounded"
    _say(f"{_title(program)}: evaluated in {seconds:.2f} s, {rounding}; not by {program.package.runtime}")


def print_show(package: ProgramPackage, function: Function, with_weights: bool, with_operations: bool) -> None:
    """`mil show` as tables."""
    others = [name for name in package.functions if name != function.name]
    _say(
        f"{package.path}: {held.size_on_disk(package.path) / 1e3:.0f} kB on disk, for {package.systems} "
        f"({package.format}), function {function.name} ({function.opset})"
        + (f"; also {', '.join(others)}" if others else "")
    )
    _print_features(package, function)
    _print_counts(package, function)
    weights = held.find_weights(function)
    _print_storage(weights)
    if with_weights:
        _print_weights(package, function, weights)
    if with_operations:
        _print_operations(function)


def _print_features(package: ProgramPackage, function: Function) -> None:
    table = _table("Inputs and outputs", ["", "name", "type", "shape"])
    for kind, features in package.features(function.name).items():
        for feature in features:
            shape = _shape(feature.shape) + (f" by default, takes {feature.sizes}" if feature.is_flexible else "")
            _row(table, kind.removesuffix("s"), feature.name, feature_kind(feature), shape)
    stdout().print(table)


def _print_counts(package: ProgramPackage, function: Function) -> None:
    counts = held.operation_counts(function)
    unknown = held.unknown_operations(function, package.operations)
    listed = ", ".join(f"{kind} ×{count}" if count > 1 else kind for kind, count in counts.items())
    _say(f"{sum(counts.values())} operations: {listed}")
    if unknown:
        _say(f"not known to the evaluator, `dofkit mil run` refuses them: {', '.join(sorted(unknown))}", "yellow")


def _print_storage(weights: Sequence[held.Weight]) -> None:
    rows = held.storage(weights)
    table = _table("Weights by storage", ["stored as"], ["weights", "parameters", "kB", "bits each"])
    for row in rows:
        bits = f"{8 * row.bytes / row.parameters:.2f}" if row.parameters else ""
        _row(table, row.stored, str(row.weights), f"{row.parameters:,}", f"{row.bytes / 1e3:.1f}", bits)
    stdout().print(table)
    total = sum(row.parameters for row in rows)
    small = sum(row.parameters for row in rows if row.compressed)
    size = sum(row.bytes for row in rows)
    share = f", {100 * small / total:.1f} % of them compressed" if small else ""
    _say(f"{total:,} parameters in {size / 1e3:.1f} kB{share}")


def _print_weights(package: ProgramPackage, function: Function, weights: Sequence[held.Weight]) -> None:
    ranges = held.value_ranges(package, function, weights)
    table = _table("Weights", ["name", "used by", "stored as", "shape"], ["bytes", "min", "max"])
    for weight in weights:
        facts = weight_facts(weight, ranges.get(weight.name))
        first, more = weight.used_by[0], len(weight.used_by) - 1
        user = first.name + (f" +{more}" if more else "")
        numbers = [_number(facts[name]) if facts[name] is not None else "?" for name in ("min", "max")]
        _row(table, weight.name, user, weight.stored, _shape(facts["shape"]), f"{weight.bytes:,}", *numbers)
    stdout().print(table)


def _print_operations(function: Function) -> None:
    constants = {name for op in function.block.walk() if op.is_constant for name, _ in op.outputs}
    table = _table("Operations", ["operation", "output", "type", "inputs"])
    for depth, operation in held.nested(function.block):
        bound = (bound_name(binding) for bindings in operation.inputs.values() for binding in bindings)
        computed = [name for name in bound if name is not None and name not in constants]
        names = "\n".join(name for name, _ in operation.outputs)
        types = "\n".join(_declared(declared) for _, declared in operation.outputs)
        _row(table, "  " * depth + operation.type, names, types, "\n".join(computed))
    stdout().print(table)


def print_diff(a: MLProgram, b: MLProgram, found: ProgramDiff, show_all: bool) -> None:
    """`mil diff` of two packages as tables, the verdict last."""
    for letter, program in (("A", a), ("B", b)):
        half = "fp16" if computes_in_half(program) else "fp32"
        count = sum(held.operation_counts(program.function).values())
        _say(f"{letter}: {_title(program)}, {count} operations, computes in {half}")
    parts = [f"{len(found.operations)} operations correspond"]
    parts += [f"only in {letter}: {counted(ops)}" for letter, ops in (("A", found.only_a), ("B", found.only_b)) if ops]
    _say("; ".join(parts))
    _print_parameters(found, show_all)
    rows = [(o.a.type, o.a.name, _shape(result_shape(o.a)), o.difference) for o in found.operations]
    _print_rows(rows, [found.parts(o.difference) for o in found.operations], show_all)
    for output in found.outputs:
        _say(f"output {output.name}: {_apart_words(output.difference)}")
    for letter, names in (("A", found.outputs_only_a), ("B", found.outputs_only_b)):
        if names:
            _say(f"outputs only in {letter}: {', '.join(names)}", _PARTS)
    first = found.first
    if first is not None:
        same = "" if first.a.name == first.b.name else f" (in B {first.b.name})"
        _say(f"first part at {first.a.type} {first.a.name}{same}: {_apart_words(first.difference)}", _PARTS)
    _say_verdict("the programs", found.agree, found.tolerance)


def _print_parameters(found: ProgramDiff, show_all: bool) -> None:
    changed = [p for p in found.parameters if found.changed(p)]
    shown = found.parameters if show_all else changed
    if found.parameters:
        _say(
            f"{len(found.parameters)} of {found.compared_parameters} constant parameters differ, "
            f"{len(changed) or 'none'} by more than rounding"
        )
    else:
        _say(f"all {found.compared_parameters} constant parameters are equal")
    if not shown:
        return
    table = _table("Parameters that differ", ["operation", "parameter", "A", "B"], ["max |a−b|", "of max |a|"])
    for p in shown:
        numbers = ("", "") if p.difference is None else _difference(p.difference)
        _row(table, f"{p.operation.type} {p.operation.name}", p.parameter, p.a, p.b, *numbers)
    stdout().print(table)


def print_network_diff(program: MLProgram, stage: Stage, found: NetworkDiff, show_all: bool) -> None:
    """`mil diff --pytorch` as a table, the verdict last."""
    _say(f"A: {_title(program)}, against the PyTorch network of {stage}")
    fused = [layer for layer in found.layers if layer.finding is LayerFinding.FUSED]
    compared = [layer for layer in found.layers if layer.finding is not LayerFinding.FUSED]
    merged = f"; {len(fused)} more are fused into a layer after them" if fused else ""
    _say(f"{len(compared) - 1} layers and the output compared{merged}")
    rows = [(layer.kind, layer.name, _place(layer), layer.difference) for layer in compared]
    titles = ["layer", "name", "found at"]
    _print_rows(rows, [layer.finding is LayerFinding.PARTS for layer in compared], show_all, titles)
    first = found.first
    if first is not None:
        included = [layer.name for layer in fused if layer.absorbed_by == first.name]
        fused_words = f", {', '.join(included)} fused into it" if included else ""
        nearest = "the program has no result of its shape left"
        if first.difference is not None and first.operation is not None:
            at = f"{first.operation.type} {first.operation.name}"
            nearest = f"{at} is nearest, {_apart_words(first.difference)}"
        _say(f"first part at {first.kind} {first.name}{fused_words}: {nearest}", _PARTS)
    _say_verdict("the program and the network", found.agree, found.tolerance)


def _place(layer: LayerDiff) -> str:
    return layer.operation.name if layer.operation is not None else "nothing of its shape"


Row = tuple[str, str, str, Difference | None]


def _print_rows(
    rows: Sequence[Row], parts: Sequence[bool], show_all: bool, titles: Sequence[str] = ("operation", "name", "shape")
) -> None:
    """Errors of results in order: all; or those around the first that parts, or the greatest."""
    if not (show_all or any(difference is None or difference.max_abs for *_, difference in rows)):
        _say("all results are equal, bit for bit")
        return
    numbers, title = _chosen(rows, parts, show_all)
    table = _table(title, ["#", *titles], ["max |a−b|", "of max |a|"])
    for number in numbers:
        kind, name, where, difference = rows[number]
        cells = (str(number + 1), kind, name, where, *(_difference(difference) if difference else ("", "")))
        _row(table, *cells, style=_PARTS if parts[number] else "")
    stdout().print(table)


def _chosen(rows: Sequence[Row], parts: Sequence[bool], show_all: bool) -> tuple[list[int], str]:
    if show_all or len(rows) <= _WORST:
        return list(range(len(rows))), "Results"
    if any(parts):
        first = parts.index(True)
        around = range(max(0, first - _BEFORE), min(len(rows), first + _AFTER + 1))
        return list(around), f"Results around the first that parts ({sum(parts)} of {len(rows)} part)"

    def relative(number: int) -> float:
        difference = rows[number][3]
        return difference.relative if difference else 0.0

    return sorted(sorted(range(len(rows)), key=relative)[-_WORST:]), f"The {_WORST} results furthest apart, in order"


def _say_verdict(subject: str, agree: bool, tolerance: float) -> None:
    limit = f"{tolerance:.3g} · max|a|"
    if agree:
        _say(f"{subject} agree: nothing differs by more than {limit}", "green")
    else:
        _say(f"{subject} part: tolerance {limit}", _PARTS)


def _apart_words(difference: Difference) -> str:
    if math.isinf(difference.max_abs):
        return "shapes, texts or non-finite numbers differ"
    if not difference.max_abs:
        return "equal"
    return f"max |a−b| {difference.max_abs:.2e}, {difference.relative:.1e} of max |a|"


def _difference(difference: Difference) -> tuple[str, str]:
    return f"{difference.max_abs:.2e}", f"{difference.relative:.1e}"


def _declared(declared: ValueType) -> str:
    if not isinstance(declared, TensorType) or declared.shape is None:
        return str(declared)
    return f"{declared.element} {_shape(declared.shape)}".strip()


def _shape(sizes: Iterable[int | None]) -> str:
    return "×".join("?" if size is None else str(size) for size in sizes)


def _number(value: float | str | None) -> str:
    return f"{value:.4g}" if isinstance(value, float | int) else str(value)


def _title(program: MLProgram) -> str:
    return f"{program.package.path} ({program.function.name})"


def _table(title: str, texts: Sequence[str], numbers: Sequence[str] = ()) -> Table:
    """A table whose texts are folded, never cut, and whose numbers stay on one line."""
    # Names of operations are long: without lines between columns most tables fit into 100 columns.
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in texts:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _row(table: Table, *cells: str, style: str = "") -> None:
    table.add_row(*(Text(cell) for cell in cells), style=style)  # Text: names may look like rich's markup


def _say(line: str, style: str = "") -> None:
    stdout().print(Text(line, style=style), soft_wrap=True)  # a log is not broken in the middle of a path

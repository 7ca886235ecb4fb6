"""One network → one ML Program, through coremltools; it is traced once for all precisions."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.target import Precision
from ..stages import StageGraph
from .features import declared_inputs, declared_outputs, network_to_export
from .options import CoreMLOptions
from .tools import coremltools, quietly


@dataclass
class KeepFp32:
    """Which operations an fp16 model computes in fp32: the question that coremltools asks of every operation.

    Attributes:
        patterns: operation types or output names; `*` and `?` match.
        seen: (type, output name) of every operation that was asked for.
        kept: the names of those that stay in fp32.
    """

    patterns: tuple[str, ...] = ()
    seen: list[tuple[str, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def to_fp16(self, operation: Any) -> bool:
        """Whether an operation may be computed in fp16."""
        if operation.op_type == "const":
            return True
        name = public_name(operation.outputs[0].name)
        self.seen.append((operation.op_type, name))
        if self.keeps(operation.op_type, name):
            self.kept.append(name)
            return False
        return True

    def keeps(self, kind: str, name: str) -> bool:
        """Whether a pattern matches an operation's type or output name."""
        return any(_matches(pattern, kind, name) for pattern in self.patterns)

    def unmatched(self) -> list[str]:
        """Patterns that no operation matched."""
        return [p for p in self.patterns if not any(_matches(p, kind, name) for kind, name in self.seen)]


def _matches(pattern: str, kind: str, name: str) -> bool:
    return fnmatch.fnmatchcase(kind, pattern) or fnmatch.fnmatchcase(name, pattern)


def public_name(name: str) -> str:
    """A value's name as it will stand in the saved fp32 program: MIL allows letters, digits and `_` only."""
    clean = re.sub(r"\W", "_", name)
    return f"var_{clean}" if clean[:1].isdigit() else clean


def refuse_unmatched(keeps: Iterable[KeepFp32]) -> None:
    """Refuse a pattern that matched no operation of any network.

    Raises:
        DofkitError: naming the pattern and what there is.
    """
    keeps = list(keeps)
    for pattern in keeps[0].unmatched() if keeps else ():
        if all(pattern in keep.unmatched() for keep in keeps):
            kinds = sorted({kind for keep in keeps for kind, _ in keep.seen})
            names = sorted({name for keep in keeps for _, name in keep.seen})
            near = [name for name in names if pattern.strip("*?").lower() in name.lower()] or names
            raise DofkitError(
                f"--keep-fp32 {pattern}: no operation has this type or output name; types: {', '.join(kinds)}; "
                f"names: {', '.join(near[:12])}{' …' if len(near) > 12 else ''}"
            )


class TracedStage:
    """A stage's network, traced and ready to be converted.

    Raises:
        DofkitError: the network holds an operation that coremltools would change silently.
    """

    def __init__(self, graph: StageGraph, options: CoreMLOptions) -> None:
        self.graph = graph
        self.options = options
        with quietly(), torch.inference_mode():
            network = network_to_export(graph, options)
            self._traced: Any = torch.jit.trace(network, graph.example(), check_trace=False)
        refuse_antialias(self._traced, graph.stage.value)
        _divide_for_reciprocals(self._traced)

    def convert(self, precision: Precision, keep: KeepFp32 | None = None) -> Any:
        """The coremltools model."""
        ct = coremltools()
        select = (keep or KeepFp32()).to_fp16
        # Whatever its weights are stored in, a package computes in fp16 unless fp32 was asked for.
        compute = ct.transform.FP16ComputePrecision(op_selector=select)
        if precision is Precision.FP32:
            compute = ct.precision.FLOAT32
        with quietly(), torch.inference_mode():
            return ct.convert(
                self._traced,
                inputs=declared_inputs(ct, self.graph, self.options),
                outputs=declared_outputs(ct, self.graph, self.options),
                convert_to="mlprogram",
                minimum_deployment_target=getattr(ct.target, self.options.deployment.value),
                compute_precision=compute,
                skip_model_load=True,
            )


def _divide_for_reciprocals(traced: Any) -> None:
    """Write 1 / x as a division: coremltools 9.0 makes `inverse` of it, which adds 1e-4 to x without a word."""
    torch._C._jit_pass_inline(traced.graph)
    torch._C._jit_pass_custom_pattern_based_rewrite_graph(
        """
        graph(%x):
            %y = aten::reciprocal(%x)
            return (%y)""",
        """
        graph(%x):
            %number : float = prim::Constant[value=1.]()
            %one : Tensor = prim::NumToTensor(%number)
            %y = aten::div(%one, %x)
            return (%y)""",
        traced.graph,
    )


def refuse_antialias(traced: Any, stage: str) -> None:
    """Refuse a resize with `antialias=True`: coremltools 9.0 drops it without a word, an error of up to 0.4.

    Raises:
        DofkitError: naming the operation.
    """
    for node in traced.inlined_graph.nodes():
        if re.search(r"_upsample_\w+_aa$", node.kind()):
            raise DofkitError(
                f"{stage}: the network resizes with antialias=True ({node.kind()}), which Core ML's converter drops "
                "silently; use avg_pool2d before a plain interpolate, or antialias=False"
            )

"""One network → one ML Program, through coremltools; it is traced once for all precisions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.target import Precision, Target
from ..keep_fp32 import KeepFp32
from ..refusals import refusing
from ..stages import StageGraph
from ..tails import tail
from .features import declared_inputs, declared_outputs, network_to_export
from .options import CoreMLOptions
from .tools import coremltools, quietly

# Operations of ML Programs that end a network's tail.
_LAYERS = {"conv", "conv_transpose", "linear", "matmul", "einsum", "scaled_dot_product_attention"}


def public_name(name: str) -> str:
    """A value's name as it will stand in the saved fp32 program: MIL allows letters, digits and `_` only."""
    clean = re.sub(r"\W", "_", name)
    return f"var_{clean}" if clean[:1].isdigit() else clean


class TracedStage:
    """A stage's network, traced when it is first converted; another process traces it there."""

    def __init__(self, graph: StageGraph, options: CoreMLOptions) -> None:
        self.graph = graph
        self.options = options

    def __reduce__(self) -> tuple[type[TracedStage], tuple[StageGraph, CoreMLOptions]]:
        return TracedStage, (self.graph, self.options)

    @cached_property
    def _traced(self) -> Any:
        with quietly(), torch.inference_mode():
            traced = torch.jit.trace(self._network, self.graph.example(), check_trace=False)
        refuse_antialias(traced, self.graph.stage.value)
        _divide_for_reciprocals(traced)
        return traced

    @cached_property
    def _network(self) -> torch.nn.Module:
        with quietly():
            return network_to_export(self.graph, self.options)

    def write(self, path: Path, precision: Precision, keep: KeepFp32) -> KeepFp32:
        """Save the package; what was asked of `keep` is noted in the one that is given back."""
        self.convert(precision, keep).save(str(path))
        return keep

    def convert(self, precision: Precision, keep: KeepFp32 | None = None) -> Any:
        """The coremltools model.

        Raises:
            DofkitError: the network holds an operation that coremltools would change silently, or cannot take.
        """
        ct, traced = coremltools(), self._traced
        # Whatever its weights are stored in, a package computes in fp16 unless fp32 was asked for.
        halved = _Halved(keep or KeepFp32(), self.graph.rewritten)
        compute = ct.transform.FP16ComputePrecision(op_selector=halved)
        if precision is Precision.FP32:
            compute = ct.precision.FLOAT32
        with refusing(self.graph, self._network, Target.COREML), quietly(), torch.inference_mode():
            return ct.convert(
                traced,
                inputs=declared_inputs(ct, self.graph, self.options),
                outputs=declared_outputs(ct, self.graph, self.options),
                convert_to="mlprogram",
                minimum_deployment_target=getattr(ct.target, self.options.deployment.value),
                compute_precision=compute,
                skip_model_load=True,
                pass_pipeline=_passes(ct, self.graph),
            )


class _Halved:
    """Whether an operation becomes fp16: coremltools asks it of each in their order, before it changes the first.

    Args:
        keep: what stays in fp32.
        spare_tail: the network's tail does, too.
    """

    def __init__(self, keep: KeepFp32, spare_tail: bool) -> None:
        self._keep, self._spare_tail = keep, spare_tail
        self._tail: frozenset[str] | None = None

    def __call__(self, operation: Any) -> bool:
        if self._tail is None:
            self._tail = _tail_of(operation.enclosing_block) if self._spare_tail else frozenset()
        name = public_name(operation.outputs[0].name)
        return operation.op_type == "const" or not self._keep.asked(operation.op_type, name, name in self._tail)


def _tail_of(block: Any) -> frozenset[str]:
    """The names of a block's tail."""

    def sources(operation: Any) -> Iterator[Any]:
        for bound in operation.inputs.values():
            for value in bound if isinstance(bound, list | tuple) else (bound,):
                if value is not None and value.op is not None and value.op.op_type != "const":
                    yield value.op

    found = tail([value.op for value in block.outputs], sources, lambda operation: operation.op_type in _LAYERS)
    return frozenset(public_name(value.name) for operation in found for value in operation.outputs)


def _passes(ct: Any, graph: StageGraph) -> Any:
    """coremltools' passes; of a rewritten network without the one that makes a BatchNorm of a multiplication and an
    addition: it takes a map of one channel that is spread over several for one of several, and stops (ZoeDepth)."""
    passes = ct.PassPipeline()
    if graph.rewritten:
        passes.remove_passes({"common::fuse_elementwise_to_batchnorm"})
    return passes


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

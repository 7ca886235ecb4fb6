"""One network → one ML Program, through coremltools; it is traced once for all precisions."""

from __future__ import annotations

import re
from typing import Any

import torch

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.target import Precision, Target
from ..keep_fp32 import KeepFp32
from ..refusals import refusing
from ..stages import StageGraph
from .features import declared_inputs, declared_outputs, network_to_export
from .options import CoreMLOptions
from .tools import coremltools, quietly


def public_name(name: str) -> str:
    """A value's name as it will stand in the saved fp32 program: MIL allows letters, digits and `_` only."""
    clean = re.sub(r"\W", "_", name)
    return f"var_{clean}" if clean[:1].isdigit() else clean


class TracedStage:
    """A stage's network, traced and ready to be converted.

    Raises:
        DofkitError: the network holds an operation that coremltools would change silently.
    """

    def __init__(self, graph: StageGraph, options: CoreMLOptions) -> None:
        self.graph = graph
        self.options = options
        with quietly(), torch.inference_mode():
            network = self._network = network_to_export(graph, options)
            self._traced: Any = torch.jit.trace(network, graph.example(), check_trace=False)
        refuse_antialias(self._traced, graph.stage.value)
        _divide_for_reciprocals(self._traced)

    def convert(self, precision: Precision, keep: KeepFp32 | None = None) -> Any:
        """The coremltools model."""
        ct = coremltools()
        keep = keep or KeepFp32()

        def select(operation: Any) -> bool:
            name = public_name(operation.outputs[0].name)
            return operation.op_type == "const" or not keep.asked(operation.op_type, name)

        # Whatever its weights are stored in, a package computes in fp16 unless fp32 was asked for.
        compute = ct.transform.FP16ComputePrecision(op_selector=select)
        if precision is Precision.FP32:
            compute = ct.precision.FLOAT32
        with refusing(self.graph, self._network, Target.COREML), quietly(), torch.inference_mode():
            return ct.convert(
                self._traced,
                inputs=declared_inputs(ct, self.graph, self.options),
                outputs=declared_outputs(ct, self.graph, self.options),
                convert_to="mlprogram",
                minimum_deployment_target=getattr(ct.target, self.options.deployment.value),
                compute_precision=compute,
                skip_model_load=True,
                pass_pipeline=_passes(ct, self.graph),
            )


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

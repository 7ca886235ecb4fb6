"""A stage of Core ML as the search for operations to keep in fp32 asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...runtime_ref.mil import Element, Package
from ...runtime_ref.mil.program import Constant, Operation, TensorType, ValueType
from ...runtime_ref.target import Precision
from ..fp32_budget import FloatPrograms, half_name, halved
from ..keep_fp32 import KeepFp32
from .convert import TracedStage


def float_programs(traced: TracedStage, scratch: Path) -> FloatPrograms:
    """How a traced stage is written in floats, into a folder."""

    def write(precision: Precision, keep: KeepFp32) -> Package:
        path = scratch / f"budget.{traced.graph.stage}.{precision}.mlpackage"
        traced.convert(precision, keep).save(str(path))
        return Package(path)

    return FloatPrograms(traced.graph, write, frozenset(_pixels(traced)), cast)


def _pixels(traced: TracedStage) -> Iterator[str]:
    graph, options = traced.graph, traced.options
    yield from (signal.name for signal in graph.inputs if options.image_inputs and signal.channels == 3)
    if options.image_outputs and graph.output.channels == 3:
        yield graph.output.name


def cast(name: str, declared: ValueType) -> Operation:
    """The operation that rounds a value to fp16."""
    dtype = Constant(TensorType(Element.STRING, ()), np.array("fp16", dtype=object))
    return Operation("cast", {"x": (name,), "dtype": (dtype,)}, {}, ((half_name(name), halved(declared)),))

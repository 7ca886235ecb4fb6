"""Programs of one operation, written as MLIR, and Apple's own runtime as the judge of what they compute."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray
_ELEMENTS = {"float32": "f32", "float16": "f16", "int32": "si32", "uint32": "ui32", "int16": "si16", "int8": "si8"}


@dataclass(frozen=True)
class OneOperation:
    """An operation and what it is given: floats of two axes and more are inputs of the program, all else constants.

    Attributes:
        name: without its dialect.
        operands: in their order.
        result: its type, "2x3xf32"; several where it gives several.
        attributes: in MLIR.
    """

    name: str
    operands: tuple[Array, ...]
    result: str | tuple[str, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> dict[str, Array]:
        """The values of the program's inputs."""
        return {f"x{number}": value for number, value in enumerate(self.operands) if _is_input(value)}

    def text(self) -> str:
        """The program."""
        results = [self.result] if isinstance(self.result, str) else list(self.result)
        given = ", ".join(
            f'%x{n}: {_type(value)} {{coreai.name = "x{n}"}}'
            for n, value in enumerate(self.operands)
            if f"x{n}" in self.inputs
        )
        got = ", ".join(f'tensor<{declared}> {{coreai.name = "y{n}"}}' for n, declared in enumerate(results))
        constants = "\n".join(
            f"%x{n} = coreai.constant dense<{_literal(value)}> : {_type(value)}"
            for n, value in enumerate(self.operands)
            if f"x{n}" not in self.inputs
        )
        attributes = ", ".join(f"{name} = {value}" for name, value in self.attributes.items())
        names = ", ".join(f"%x{n}" for n in range(len(self.operands)))
        kinds = ", ".join(_type(value) for value in self.operands)
        many = f":{len(results)}" if len(results) > 1 else ""
        types = ", ".join(f"tensor<{declared}>" for declared in results)
        outputs = ", ".join(f"%y#{n}" if many else "%y" for n in range(len(results)))
        return f"""module {{
  coreai.graph @main({given}) -> ({got}) {{
    {constants}
    %y{many} = "coreai.{self.name}"({names}) {{{attributes}}} : ({kinds}) -> ({types})
    coreai.output {outputs} : {types}
  }}
}}"""


def _is_input(value: Array) -> bool:
    return value.dtype.kind == "f" and value.ndim > 1


def _type(value: Array) -> str:
    element = "i1" if value.dtype == bool else _ELEMENTS[value.dtype.name]
    return f"tensor<{''.join(f'{size}x' for size in value.shape)}{element}>"


def _literal(value: Array) -> str:
    text = str(value.tolist())
    return text.replace("True", "true").replace("False", "false")


def save_text(text: str, path: Path) -> Path:
    """Write a program as an asset."""
    from coreai._compiler.ir import Module
    from coreai.authoring import Context
    from coreai.authoring.asset import AIProgram

    with Context()._mlir_context:
        AIProgram._from_mlir_module(Module.parse(text)).save_asset(path)
    return path


def apples(path: Path, inputs: Mapping[str, Array], function: str = "main") -> dict[str, Array]:
    """What Apple's runtime computes."""
    from coreai.authoring.asset import AIModelAsset
    from coreai.runtime import NDArray

    async def run() -> dict[str, Any]:
        async with AIModelAsset.load(path).executable() as model:
            outputs: Any = await model.load_function(function)({name: NDArray(x) for name, x in inputs.items()})
            return {name: value.numpy().copy() for name, value in outputs.items()}

    return asyncio.run(run())


def ints(*values: int) -> Array:
    """A constant of signed integers."""
    return np.array(values, np.int32)


def sizes(*values: int) -> Array:
    """A constant of unsigned integers."""
    return np.array(values, np.uint32)


def scalar(value: int, kind: Any = np.int32) -> Array:
    """A constant without axes."""
    return np.array(value, kind)


def noise(*shape: int, low: float = -2.0, high: float = 2.0) -> Array:
    """Floats, the same for the same shape."""
    return np.random.default_rng(shape).uniform(low, high, shape).astype(np.float32)

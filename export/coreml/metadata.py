"""What a package says of itself: Xcode's fields, a line for every input and output, and machine-readable keys.

Keys: `com.dofkit.version`, `.precision`, `.conventions` and `.plan` (JSON), `.functions` (JSON: which
stage and tile a function computes), all of them texts, as Core ML's user-defined metadata wants.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ... import __version__
from ...runtime_ref.pipeline.plan import PipelinePlan
from ...runtime_ref.target import Precision
from ..conventions import CONVENTIONS
from ..stages import StageGraph
from .options import CoreMLOptions

PREFIX = "com.dofkit."


@dataclass(frozen=True)
class Description:
    """Writes the metadata of one package.

    Attributes:
        functions: function of the package -> what it computes; a package of one stage has "main".
    """

    functions: Mapping[str, StageGraph]
    options: CoreMLOptions
    precision: Precision
    plan: PipelinePlan

    def __call__(self, spec: Any) -> None:
        """Fill in a `Model` protobuf."""
        description = spec.description
        self._describe_model(description.metadata)
        if description.functions:
            for function in description.functions:
                self._describe_signals(function, self.functions[function.name])
        else:
            self._describe_signals(description, *self.functions.values())

    def _describe_model(self, metadata: Any) -> None:
        wanted = self.options.metadata
        stages = ", ".join(dict.fromkeys(graph.stage.value for graph in self.functions.values()))
        metadata.shortDescription = f"Portrait mode, {stages} ({self.precision.title})"
        for field, text in (("author", wanted.author), ("license", wanted.licence), ("versionString", wanted.version)):
            if text:
                setattr(metadata, field, text)
        metadata.userDefined.update({PREFIX + key: value for key, value in self._keys().items()})

    def _keys(self) -> dict[str, str]:
        functions = {name: {"stage": graph.stage.value, "tile": graph.side} for name, graph in self.functions.items()}
        return {
            "version": __version__,
            "precision": self.precision.value,
            "conventions": _json(CONVENTIONS),
            "plan": _json(self.plan.model_dump(mode="json")),
            "functions": _json(functions),
        }

    def _describe_signals(self, message: Any, graph: StageGraph) -> None:
        meanings = {signal.name: signal for signal in (*graph.inputs, graph.output)}
        for feature in (*message.input, *message.output):
            signal = meanings[feature.name]
            feature.shortDescription = f"{signal.meaning}; {_range(signal.low, signal.high, feature)}"


def _range(low: float, high: float, feature: Any) -> str:
    image = feature.type.WhichOneof("Type") == "imageType"
    return "8-bit pixels" if image and low == 0 and _is_rgb(feature) else f"values in [{low:g}, {high:g}]"


def _is_rgb(feature: Any) -> bool:
    return feature.type.imageType.colorSpace == feature.type.imageType.RGB


def _json(document: Any) -> str:
    return json.dumps(document, sort_keys=True, ensure_ascii=False)

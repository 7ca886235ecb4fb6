"""What a package says of itself: Xcode's fields, a line for every input and output, and machine-readable keys.

Keys: those of `export.labels`, all of them texts, as Core ML's user-defined metadata wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..labels import Stamp
from ..stages import StageGraph


@dataclass(frozen=True)
class Description:
    """Writes the metadata of one package.

    Attributes:
        functions: function of the package -> what it computes; a package of one stage has "main".
        stamp: what the package says.
    """

    functions: Mapping[str, StageGraph]
    stamp: Stamp

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
        said = self.stamp
        metadata.shortDescription = said.description
        for field, text in (("author", said.author), ("license", said.licence), ("versionString", said.version)):
            if text:
                setattr(metadata, field, text)
        metadata.userDefined.update(said.keys)

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

"""What a rule finds, and what a rule is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from ...runtime_ref.bundle import ModelEntry
from ...runtime_ref.enums import TitledEnum
from ..profile import Accelerator, DeviceUnit
from .graph import Graph, Node


class Severity(TitledEnum):
    """How bad it is."""

    ERROR = "error", "the unit does not compute it, or computes something else"
    WARNING = "warning", "it costs time, or digits"


@dataclass(frozen=True)
class Problem:
    """What a rule says of a node.

    Attributes:
        node: None where it is of the whole file.
        message: what is wrong, with its figures.
    """

    node: Node | None
    message: str


class Rule(Protocol):
    """Something that is looked for in every file."""

    @property
    def id(self) -> str:
        """Its name, in lower case with hyphens."""
        ...

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        ...

    @property
    def rewrite(self) -> str:
        """What to do about it."""
        ...

    def find(self, graph: Graph, unit: Accelerator) -> Iterator[Problem]:
        """Where a unit meets it in a graph; nothing where it does not concern the unit."""
        ...


@dataclass(frozen=True)
class LintFinding:
    """A problem in a file of a bundle.

    Attributes:
        rule: id of the rule, or of the engine that found it.
        model: the file.
        unit: what would meet it.
        node: name of the operation; empty where it is of the whole file.
        module: the PyTorch module it came from; empty where the file does not tell.
        message, rewrite: what is wrong, and what to do.
    """

    rule: str
    severity: Severity
    model: ModelEntry
    unit: DeviceUnit
    node: str
    module: str
    message: str
    rewrite: str

    def as_json(self) -> dict[str, str]:
        """For machines."""
        model = self.model
        return {
            "rule": self.rule,
            "severity": self.severity.value,
            "target": model.target.value,
            "precision": model.precision.value,
            "stage": model.name,
            "unit": self.unit.value,
            "node": self.node,
            "module": self.module,
            "message": self.message,
            "rewrite": self.rewrite,
        }

"""What exported files say of themselves, the same in every target: whose they are, and what their numbers mean."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .. import __version__
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.pipeline.plan import PipelinePlan
from ..runtime_ref.target import Precision
from ..train.weights.terms import Terms
from .conventions import CONVENTIONS
from .stages import StageGraph

PREFIX = "com.dofkit."


@dataclass(frozen=True)
class Labels:
    """What the user wants files to say; empty texts are left out.

    Attributes:
        author, version, description: of the models.
        licence: of weights that say none themselves; never guessed.
    """

    author: str = ""
    licence: str = ""
    version: str = ""
    description: str = ""


@dataclass(frozen=True)
class Stamp:
    """What one file says.

    Attributes:
        description: a line for people.
        author, licence, version: empty ones are left out.
        keys: for machines, by names that begin with `PREFIX`.
    """

    description: str
    author: str
    licence: str
    version: str
    keys: Mapping[str, str]

    def texts(self) -> dict[str, str]:
        """All of it but the description, by the names that files use."""
        own = {"author": self.author, "license": self.licence, "version": self.version}
        return {name: text for name, text in own.items() if text} | dict(self.keys)


def refuse_contradiction(labels: Labels, terms: Iterable[Terms]) -> None:
    """Refuse a licence that the weights themselves contradict. It is for those that say none, where there are any.

    Raises:
        DofkitError: what they say, and the way out.
    """
    said_by = list(terms)
    if not labels.licence or not all(said.licence for said in said_by):
        return
    for said in said_by:
        if labels.licence != said.licence:
            raise DofkitError(
                f"--licence {labels.licence}: the weights say {said.licence!r} themselves; leave the option out, or "
                "export weights of your own with --weights"
            )


def stamp(
    functions: Mapping[str, StageGraph],
    terms: Iterable[Terms],
    labels: Labels,
    precision: Precision,
    plan: PipelinePlan,
) -> Stamp:
    """What a file says.

    Args:
        functions: name -> what it computes; a file of one stage has one.
        terms: of the weights of these stages.
        labels: the user's wishes, which come first.
        precision, plan: of the file.
    """
    terms = list(terms)
    stages = ", ".join(dict.fromkeys(graph.stage.value for graph in functions.values()))
    keys = {
        "version": __version__,
        "precision": precision.value,
        "conventions": _json(CONVENTIONS),
        "plan": _json(plan.model_dump(mode="json")),
        "functions": _json({name: _function(graph) for name, graph in functions.items()}),
        "provenance": _joined(each.provenance for each in terms),
    }
    return Stamp(
        description=labels.description or f"Portrait mode, {stages} ({precision.title})",
        author=labels.author or _joined(each.author for each in terms),
        licence=_joined(each.licence or labels.licence for each in terms) or labels.licence,
        version=labels.version,
        keys={PREFIX + key: text for key, text in keys.items() if text},
    )


def _function(graph: StageGraph) -> dict[str, Any]:
    height, width = graph.size
    size = {"tile": height} if height == width else {"height": height, "width": width}
    return {"stage": graph.stage.value, "architecture": graph.architecture, **size}


def _joined(texts: Iterable[str]) -> str:
    """Different texts in their order; empty ones left out."""
    return "; ".join(dict.fromkeys(text for text in texts if text))


def _json(document: Any) -> str:
    return json.dumps(document, sort_keys=True, ensure_ascii=False)

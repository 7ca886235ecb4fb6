"""`dofkit coreai`: the commands of `dofkit mil` for Core AI's models, each loaded only when it runs."""

from __future__ import annotations

import click

from ._lazy import LazyGroup

TOOLS = {
    "run": ("coreai_run", "Evaluate a model on photos, arrays or noise."),
    "show": ("coreai_show", "Show a model's operations, types, weights and sizes."),
    "diff": ("coreai_diff", "Find the operation where two models, or a model and PyTorch, part."),
}


@click.group(cls=LazyGroup, lines=TOOLS)
def command() -> None:
    """Run, show and compare Core AI models (`.aimodel`); needs the extra `coreai`.

    What is computed is the program in the model, in numpy, rounded as its types say. Apple's runtime has no part in it;
    `dofkit check` asks that, too. One of the two models of a `diff` may be a Core ML package.
    """

"""The sessions of a whole pipeline over a bundle's models, those of one stage at several input sizes behind one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from ..bundle import ModelEntry
from ..pipeline.plan import PipelinePlan
from ..pipeline.session import Session, SizedSession
from ..pipeline.stage import Stage


def stage_sessions(
    models: Iterable[ModelEntry], plan: PipelinePlan, open_one: Callable[[ModelEntry], Session]
) -> dict[Stage, Session]:
    """A session for every stage.

    Args:
        models: one a stage; of the depth network one for each of the plan's input sizes.
        plan: theirs.
        open_one: opens a model; that of depth only when a photo asks for it: many bring depth, and LiteRT takes 75 MB
            to be ready for it.
    """
    models = list(models)
    depths = [model for model in models if model.stage is Stage.DEPTH]
    sessions = {model.stage: open_one(model) for model in models if model.stage is not Stage.DEPTH}
    if depths:
        sessions[Stage.DEPTH] = SizedSession(
            {model.depth_size or plan.depth_shape: partial(open_one, model) for model in depths}
        )
    return sessions

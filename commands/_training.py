"""The options that every training command has: how long, on what, from which seed, and how to go on after a stop."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._options import HintedChoice, json_option

if TYPE_CHECKING:
    from ..train.trainer import RunSettings, TrainingPrecision

FOLDER = click.Path(path_type=Path)

photos_option = click.option(
    "--photos", type=FOLDER, multiple=True, help="Folder of photos, searched with all below it. May be given again."
)
masks_option = click.option(
    "--masks",
    type=FOLDER,
    multiple=True,
    help="Folder with images/ and masks/ (white is the subject) to cut foregrounds out of. May be given again.",
)

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--steps", default=20000, show_default=True, help="Optimiser steps."),
    click.option("--seed", default=0, show_default=True, help="Of initialisation and data."),
    click.option("--resume", is_flag=True, help="Go on with the run in --out after an interruption."),
    click.option(
        "--devices", default=1, show_default=True, help="GPUs (or CPU processes); more than 1 trains with DDP."
    ),
    click.option(
        "--precision",
        type=HintedChoice(["32-true", "bf16-mixed", "16-mixed"]),
        default="32-true",
        show_default=True,
        help="bf16-mixed is the one to take on a recent GPU.",
    ),
    click.option("--workers", default=1, show_default=True, help="Processes that prepare samples."),
    click.option("--threads", default=0, help="CPU threads of PyTorch; 0 leaves the default."),
    click.option(
        "--checkpoint-every", default=500, show_default=True, help="Steps between checkpoints and validations."
    ),
    json_option,
)


@dataclass(frozen=True)
class RunOptions:
    """The values of these options; see their help."""

    steps: int
    seed: int
    resume: bool
    devices: int
    precision: TrainingPrecision
    workers: int
    threads: int
    checkpoint_every: int
    as_json: bool

    def settings_of_two(self, out: Path) -> RunSettings:
        """Of a system with two optimisers that take turns; each sees gradients of its own loss alone, none clipped.

        Raises:
            DofkitError: for float16, whose scaler serves one optimiser.
        """
        from ..runtime_ref.errors import DofkitError

        if self.precision == "16-mixed":
            raise DofkitError("--precision 16-mixed: two optimisers take turns here; take 32-true or bf16-mixed")
        return replace(self.settings(out), clip_norm=0)

    def settings(self, out: Path) -> RunSettings:
        """The trainer's settings for a run in `out`."""
        from ..train.trainer import RunSettings

        return RunSettings(
            out,
            self.steps,
            self.checkpoint_every,
            precision=self.precision,
            devices=self.devices,
            seed=self.seed,
            resume=self.resume,
            threads=self.threads,
        )


def run_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options; it receives them as one `run: RunOptions`."""

    @functools.wraps(function)
    def with_run(**values: Any) -> None:
        run = RunOptions(**{field.name: values.pop(field.name) for field in fields(RunOptions)})
        function(run=run, **values)

    decorated: Callable[..., None] = with_run
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated

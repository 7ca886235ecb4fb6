"""The options that every training command has: how long, on what, from which seed, and how to go on after a stop."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._options import choice_option, json_option

if TYPE_CHECKING:
    from ..runtime_ref.mapping import Mapper
    from ..train.trainer import RunSettings, TrainingPrecision

FOLDER = click.Path(path_type=Path)


def folders_option(flag: str, help: str) -> Callable[[Any], Any]:
    """Folders of one kind: an option that may be given again, and says so."""
    return click.option(flag, type=FOLDER, multiple=True, help=f"{help} May be given again.")


def count_option(flag: str, default: int, help: str, least: int = 1) -> Callable[[Any], Any]:
    """A whole number of at least `least`."""
    return click.option(flag, type=click.IntRange(least), default=default, show_default=True, help=help)


photos_option = folders_option("--photos", "Folder of photos, searched with all below it.")
masks_option = folders_option(
    "--masks", "Folder with images/ and masks/ (white is the subject) to cut foregrounds out of."
)
threads_option = click.option(
    "--threads", type=click.IntRange(0), default=0, help="CPU threads of PyTorch; 0 leaves the default."
)

workers_option = click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
ray_option = click.option(
    "--ray", metavar="ADDRESS",
    help="Spread the work over a Ray cluster that sees the same files: HOST:PORT, ray://HOST:PORT or auto.",
)  # fmt: skip


def mapper_from(workers: int, ray: str | None) -> Mapper:
    """Where work is done, as the options `--workers` and `--ray` say.

    Raises:
        DofkitError: both are given.
    """
    from ..runtime_ref.errors import DofkitError
    from ..runtime_ref.mapping import mapper_of

    if ray is not None and workers > 1:
        raise DofkitError("--workers and --ray exclude each other; a cluster has processes of its own")
    return mapper_of(workers, ray, one_torch_thread)


def one_torch_thread() -> None:
    """PyTorch would take every core for each process."""
    import torch

    torch.set_num_threads(1)


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    count_option("--steps", 20000, "Optimiser steps."),
    count_option("--seed", 0, "Of initialisation and data.", least=0),
    click.option("--resume", is_flag=True, help="Go on with the run in --out after an interruption."),
    count_option("--devices", 1, "GPUs (or CPU processes); more than 1 trains with DDP."),
    choice_option(
        "--precision",
        ["32-true", "bf16-mixed", "16-mixed"],
        "bf16-mixed is the one to take on a recent GPU.",
    ),
    count_option("--workers", 1, "Processes that prepare samples.", least=0),
    threads_option,
    count_option("--checkpoint-every", 500, "Steps between checkpoints and validations."),
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

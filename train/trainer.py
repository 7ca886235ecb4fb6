"""How every system of dofkit is trained: one Lightning Trainer, its settings, checkpoints, resuming, the EMA.

The systems (losses, metrics, optimisers) and the data live elsewhere. A system that trains here needs nothing special:
`fit(system, train_loader, val_loader, settings)`. Randomness belongs to the index of a sample: a dataset that draws
everything from `numpy.random.default_rng((seed, index))`, read through `endless_loader`, gives the same run whether it
was interrupted or not.
"""

from __future__ import annotations

import io
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader, Dataset, Sampler

from ..runtime_ref.errors import DofkitError, first_line
from ..runtime_ref.files import write_file

TrainingPrecision = Literal["32-true", "bf16-mixed", "16-mixed"]


# Folders that runs make before their first checkpoint.
_BEFORE_A_CHECKPOINT = ("tensorboard", "scenes", "held_out", "sheets")


@dataclass(frozen=True)
class RunSettings:
    """Everything about a training run that is not the network, the data or the losses.

    Attributes:
        out: folder of the run: `last.ckpt`, the TensorBoard files, later the weights.
        steps: optimiser steps in all, those before an interruption counted in.
        checkpoint_every: steps between checkpoints; validation runs at the same steps.
        precision: Lightning's name; bf16-mixed pays off on GPUs only.
        devices, accelerator: as Lightning takes them; more than one device trains with DDP.
        seed: of initialisation and data.
        resume: go on from `out/last.ckpt` where there is one.
        threads: CPU threads of PyTorch; 0 leaves the default.
        log_every: steps between two lines of progress.
        ema_decay: of the averaged weights, which are validated, saved first and left in the system at the end.
        clip_norm: the gradients' norm is clipped to this; 0 does not clip.
    """

    out: Path
    steps: int
    checkpoint_every: int = 500
    precision: TrainingPrecision = "32-true"
    devices: int = 1
    accelerator: str = "auto"
    seed: int = 0
    resume: bool = False
    threads: int = 0
    log_every: int = 50
    ema_decay: float = 0.999
    clip_norm: float = 1.0

    @property
    def checkpoint(self) -> Path:
        """The one checkpoint that is kept: the latest."""
        return self.out / "last.ckpt"


def fit(
    system: lightning.LightningModule,
    loader: DataLoader[Any],
    val_loader: DataLoader[Any] | None,
    settings: RunSettings,
) -> dict[str, float]:
    """Train `system` to `settings.steps`; afterwards it holds the averaged (EMA) weights.

    Returns:
        What the system logged on `val_loader` with the averaged weights; empty without a `val_loader`.

    Raises:
        DofkitError: when `out` holds a run and `resume` is not set, its checkpoint cannot be read, or a sample cannot.
    """
    start = resume_step(settings)
    _silence_lightning()
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    # two optimisers take turns: in either's step the other's parameters have no gradient
    strategy = "ddp" if system.automatic_optimization else "ddp_find_unused_parameters_true"
    trainer = _trainer(settings, strategy, validates=val_loader is not None)
    if start < settings.steps:
        checkpoint = settings.checkpoint if start else None
        with _one_line_errors():
            trainer.fit(system, loader, val_loader, ckpt_path=checkpoint, weights_only=True)
        trainer.save_checkpoint(settings.checkpoint)  # also where `steps` is no multiple of `checkpoint_every`
    else:
        system.load_state_dict(_read_checkpoint(settings.checkpoint)["state_dict"])
    if val_loader is None:
        return {}
    (figures,) = trainer.validate(system, val_loader, verbose=False)
    return {name: float(value) for name, value in figures.items()}


def resume_step(settings: RunSettings) -> int:
    """Steps already done in `settings.out`: 0 for a new run.

    Raises:
        DofkitError: when `out` holds a run and `resume` is not set, its checkpoint cannot be read, or it is the folder
            of something else.
    """
    if not settings.checkpoint.is_file():
        _check_ours(settings.out)
        return 0
    if not settings.resume:
        raise DofkitError(f"{settings.out} already holds a run; go on with --resume or give another --out folder")
    return int(_read_checkpoint(settings.checkpoint)["global_step"])


def _check_ours(out: Path) -> None:
    """Refuse a folder of something else; one that a run left before its first checkpoint is taken."""
    if out.exists() and not out.is_dir():
        raise DofkitError(f"{out}: is a file; give a folder for --out")
    entries = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    foreign = next((name for name in entries if name not in _BEFORE_A_CHECKPOINT and not name.startswith(".")), None)
    if foreign is not None:
        raise DofkitError(f"{out} holds {foreign} and no run to go on with; give a new or empty folder for --out")


def endless_loader(
    dataset: Dataset[Any],
    batch: int,
    settings: RunSettings,
    workers: int = 0,
    collate: Callable[[list[Any]], Any] | None = None,
) -> DataLoader[Any]:
    """A loader that asks `dataset` for the samples 0, 1, 2 … without end, from where an interrupted run stopped.

    Under DDP every process takes its share of the indices. `dataset` must answer any index ≥ 0. `collate` makes a batch
    of so many samples where PyTorch's own way does not fit.
    """
    start = resume_step(settings) * batch * settings.devices
    return DataLoader(
        dataset,
        batch,
        sampler=EndlessIndices(start),
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=collate,
    )


def is_main_process() -> bool:
    """Whether this process writes files and prints: under DDP every process runs the whole command."""
    return rank_zero_only.rank == 0


class EndlessIndices(Sampler[int]):
    """start, start + 1, start + 2 …; under DDP, process r of n takes every n-th from start + r."""

    def __init__(self, start: int = 0) -> None:
        self.start = start

    def __iter__(self) -> Iterator[int]:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank = torch.distributed.get_rank() if distributed else 0
        world = torch.distributed.get_world_size() if distributed else 1
        index = self.start + rank
        while True:
            yield index
            index += world


def _trainer(settings: RunSettings, strategy: str, validates: bool) -> lightning.Trainer:
    settings.out.mkdir(parents=True, exist_ok=True)
    every = max(1, min(settings.checkpoint_every, settings.steps))
    checkpoints = ModelCheckpoint(
        settings.out, settings.checkpoint.stem, every_n_train_steps=every, enable_version_counter=False
    )
    return lightning.Trainer(
        max_steps=settings.steps,
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=strategy if settings.devices > 1 else "auto",
        precision=settings.precision,
        gradient_clip_val=settings.clip_norm or None,
        use_distributed_sampler=False,  # EndlessIndices shares the indices out
        plugins=[_WholeCheckpoints()],
        callbacks=[_averaging(settings.ema_decay), checkpoints, _StepLines(settings.log_every)],
        logger=TensorBoardLogger(settings.out, name="", version="tensorboard"),
        log_every_n_steps=settings.log_every,
        val_check_interval=every if validates else None,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


class _WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that appear whole or not at all, though a run is killed while one is written.

    Lightning's own are moved from the system's temporary folder, which on another disk is a copy that can be cut short.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Beside the goal first, then renamed over it."""
        del storage_options
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_file(Path(path), buffer.getvalue())


def _averaging(decay: float) -> WeightAveraging:
    """Exponential moving average whose memory grows with the run, (1 + n) / (10 + n) up to `decay`: without this a
    short run would end with weights that still remember their random start."""

    def average(averaged: torch.Tensor, current: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
        kept = min(decay, (1 + int(count)) / (10 + int(count)))
        return averaged + (current - averaged) * (1 - kept)  # what is not trained stays as it is, to the bit

    return WeightAveraging(avg_fn=average)


class _StepLines(Callback):
    """A line of progress every few steps; on a terminal it stays one line."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.began: tuple[float, int] | None = None

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Say the step, the loss, the speed and the time left."""
        step = trainer.global_step
        if self.began is None:
            self.began = (time.monotonic(), step)
        if not trainer.is_global_zero or (step % self.every and step != trainer.max_steps):
            return
        seconds, done = time.monotonic() - self.began[0], step - self.began[1]
        pace = seconds / done if done else 0.0
        logged = "  ".join(f"{name} {float(value):.4f}" for name, value in sorted(trainer.callback_metrics.items()))
        left = pace * (trainer.max_steps - step) / 60
        line = f"step {step}/{trainer.max_steps}  {pace:.2f} s/step  {left:.0f} min left  "
        terminal = sys.stderr.isatty()
        print(
            ("\r\x1b[2K" if terminal else "") + line + logged, file=sys.stderr, end="" if terminal else "\n", flush=True
        )

    def on_train_end(self, *_: Any) -> None:
        """Leave the line that a terminal shows."""
        if sys.stderr.isatty():
            print(file=sys.stderr)


def _read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's contents, read as data only: no code in the file is run."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many kinds: pickle, zip, end of file
        raise DofkitError(f"{path} cannot be read ({first_line(error)}); delete it to start anew") from error


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """PyTorch hands an error of a worker process on with its whole traceback as the text, whose last line it is."""
    try:
        yield
    except DofkitError as error:
        *above, line = str(error.args[0]).strip().splitlines()
        if not above:
            raise
        raise DofkitError(line.partition("Error: ")[2]) from error


def _silence_lightning() -> None:
    """Tips, seeds and device listings say nothing that the progress line does not."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for text in (
        ".*does not have many workers.*",
        ".*Checkpoint directory.*exists.*",
        ".*tensorboard.*",
        ".*treespec.*",
        ".*no `val_dataloader`.*",
        ".*no pre-optimization state was saved.*",  # after the step is what resuming needs
        ".*callbacks used to create the checkpoint.*",  # checkpoints may come at another pace than before
    ):
        warnings.filterwarnings("ignore", message=text)

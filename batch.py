"""Many photos' files in, a folder of portraits out: `dofkit render FOLDER`. A stopped run goes on where it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from .batch_record import Options, Record, Task
from .rendering import Computed, Look, Rendered, render_file
from .runtime_ref.errors import DofkitError
from .runtime_ref.files import same_file
from .runtime_ref.imageio import FoundPhoto, pixels_of, written_suffix
from .runtime_ref.mapping import InTurn, Lost, Mapper, Processes, RayCluster
from .runtime_ref.memory import free_memory
from .runtime_ref.pipeline.portrait import PortraitPipeline

# Greatest resident memory of `dofkit render`, measured at 3, 12 and 48 megapixels: 301, 410 and 827 MiB with ONNX
# Runtime, 401, 517 and 929 with LiteRT, 366, 516 and 926 with PyTorch.
_BASE_MEMORY = 375 * 2**20
_MEMORY_PER_PIXEL = 13
_SPARE = 0.8  # of the free memory is taken
_WEIGHED = 8  # files, the largest ones, whose pixels are counted


@dataclass(frozen=True)
class Failed:
    """A photo that could not be rendered.

    Attributes:
        photo: its path.
        reason: in one line.
    """

    photo: str
    reason: str


@dataclass(frozen=True)
class Batch:
    """What became of many photos.

    Attributes:
        rendered: now.
        kept: how many were there from before.
        failed: with reasons.
    """

    rendered: tuple[Rendered, ...]
    kept: int
    failed: tuple[Failed, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        rendered = [each.to_json() for each in self.rendered]
        return {"rendered": rendered, "kept": self.kept, "failed": [asdict(each) for each in self.failed]}


def tasks_for(photos: Sequence[FoundPhoto], out: Path) -> list[Task]:
    """Each photo with its goal below `out`, which has the photo's own name and, where it can be written, its format.

    Raises:
        DofkitError: two photos have one goal, or a goal is one of the photos.
    """
    tasks: dict[Path, Task] = {}
    for photo in photos:
        goal = out / photo.place.with_suffix(written_suffix(photo.path))
        if goal in tasks:
            raise DofkitError(f"{photo} and {tasks[goal].photo} would both become {goal}; render them apart")
        tasks[goal] = Task(photo, goal)
    sources = {photo.path.resolve() for photo in photos}
    for goal, task in tasks.items():
        if goal.resolve() in sources or (goal.exists() and same_file(goal, task.photo.path)):
            raise DofkitError(f"{goal}: is one of the photos; name another folder with --out")
    return list(tasks.values())


def render_batch(
    tasks: Sequence[Task],
    out: Path,
    computed: Computed,
    look: Look,
    spread: Spread | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Batch:
    """Render photos; what an earlier run with the same options has finished stays.

    Args:
        tasks: see `tasks_for`.
        out: the folder of portraits, made if need be.
        computed: what computes. It is opened here first, so that its faults are told before anything is done.
        look: of all portraits.
        spread: where the work is done. Default: on this machine, as many at once as it has cores and memory for.
        overwrite: whether portraits of an earlier run are made again.
        progress: called with (photos done, photos in all, the last one).

    Raises:
        DofkitError: `computed` cannot be opened, or the folder holds portraits of other options, or cannot be written.
    """
    pipeline = computed.open()
    record = Record.open(out, Options.of(computed, look), overwrite)
    missing = [task for task in tasks if not record.holds(task)]
    kept = len(tasks) - len(missing)
    progress(kept, len(tasks), "")
    mapper, threads = (spread or Spread()).over(missing)
    own = replace(computed, threads=threads)
    opener = (lambda: pipeline) if isinstance(mapper, InTurn) else partial(_opened, own)
    rendered: list[Rendered] = []
    failed: list[Failed] = []
    for outcome in mapper.over(partial(_render, opener, look), missing):
        task = outcome.item
        result = Failed(str(task), outcome.reason) if isinstance(outcome, Lost) else outcome.result
        if isinstance(result, Failed):
            failed.append(result)
        else:
            record.add(task)
            rendered.append(result)
        progress(kept + len(rendered) + len(failed), len(tasks), task.photo.path.name)
    return Batch(tuple(rendered), kept, tuple(failed))


def _render(opener: Callable[[], PortraitPipeline], look: Look, task: Task) -> Rendered | Failed:
    """One photo, in whichever process."""
    try:
        task.goal.parent.mkdir(parents=True, exist_ok=True)
        return render_file(opener, task.photo.path, task.goal, look)
    except (DofkitError, OSError) as error:
        return Failed(str(task), str(error).removeprefix(f"{task}: "))


@lru_cache(maxsize=1)
def _opened(computed: Computed) -> PortraitPipeline:
    """The pipeline of a process that does nothing else, opened for its first photo."""
    if computed.bundle is None:
        import torch

        torch.set_num_threads(computed.threads)
    return computed.open()


@dataclass(frozen=True)
class Spread:
    """Where a batch is rendered.

    Attributes:
        jobs: photos at once; None: as many as cores and memory allow.
        ray: address of a Ray cluster; None: this machine.
    """

    jobs: int | None = None
    ray: str | None = None

    def over(self, tasks: Sequence[Task]) -> tuple[Mapper, int]:
        """What maps these tasks, and the CPU threads that each has."""
        if self.ray is not None:
            return RayCluster(self.ray, memory_of(tasks), self.jobs), 1
        jobs = min(self.jobs or processes_for(tasks), max(1, len(tasks)))
        mapper = Processes(jobs) if jobs > 1 else InTurn()
        return mapper, max(1, usable_cores() // jobs)


def processes_for(tasks: Sequence[Task], cores: int | None = None, free: int | None = None) -> int:
    """How many photos may be rendered at once: as cores and memory allow.

    Args:
        cores: of this machine. Default: those that this process may use.
        free: bytes of memory. Default: as the system says.
    """
    cores = cores or usable_cores()
    free = free_memory() if free is None else free
    by_memory = int(free * _SPARE // memory_of(tasks)) if free else 1
    return max(1, min(cores, by_memory, len(tasks)))


def memory_of(tasks: Sequence[Task]) -> int:
    """Bytes that rendering the largest of these photos takes; of the largest files the pixels are counted."""
    files = [task.photo.path for task in tasks if task.photo.path.is_file()]
    files = sorted(files, key=lambda path: path.stat().st_size)[-_WEIGHED:]
    return _BASE_MEMORY + _MEMORY_PER_PIXEL * max(map(pixels_of, files), default=0)


def usable_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

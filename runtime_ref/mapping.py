"""One function over many items: in this process, in several of this machine, or on a Ray cluster.

Functions and items travel between processes: a function is a module's own or a `functools.partial` of one. A process
that dies takes no other item with it: what it was at is tried again, and is `Lost` where that kills a process again.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, Generic, Protocol, TypeVar

from .errors import DofkitError, require
from .processes import SAFE_PATH, end_with_owner, safe_path

Item = TypeVar("Item")
Result = TypeVar("Result")

_RETRIES = 2  # of a task on a cluster whose process or machine goes away
_PATIENCE_S = 5.0  # until a cluster answers


@dataclass(frozen=True)
class Done(Generic[Item, Result]):
    """What a function gave for an item."""

    item: Item
    result: Result


@dataclass(frozen=True)
class Lost(Generic[Item]):
    """An item whose process ended without an answer, as often as it was tried.

    Attributes:
        reason: what is known of it, in one line.
    """

    item: Item
    reason: str


class Mapper(Protocol):
    """Where a function runs over items."""

    def over(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Done[Item, Result] | Lost[Item]]:
        """Each item's outcome when it is there, in any order. An error of `work` is raised here, and ends the rest."""
        ...


def every_result(outcomes: Iterator[Done[Item, Result] | Lost[Item]]) -> Iterator[Result]:
    """The results, of work that is of no use with a part of it lost.

    Raises:
        DofkitError: an item was lost.
    """
    for outcome in outcomes:
        if isinstance(outcome, Lost):
            raise DofkitError(f"{outcome.item}: {outcome.reason}; give it more memory, or fewer processes at once")
        yield outcome.result


class InTurn:
    """One after the other, in this process."""

    def over(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Done[Item, Result]]:
        for item in items:
            yield Done(item, work(item))


@dataclass(frozen=True)
class Processes:
    """Several at once, in processes of this machine.

    Attributes:
        count: of processes.
        prepare: called once in each of them.
    """

    count: int
    prepare: Callable[[], object] | None = None

    def over(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Done[Item, Result] | Lost[Item]]:
        waiting = deque(items)
        while waiting:
            suspects = yield from self._until_one_dies(work, waiting, self.count)
            for item in suspects:  # each alone, so that it is known which one kills
                if (yield from self._until_one_dies(work, deque([item]), 1)):
                    yield Lost(item, "its process was killed twice, or ran out of memory")

    def _until_one_dies(
        self, work: Callable[[Item], Result], waiting: deque[Item], count: int
    ) -> Generator[Done[Item, Result], None, list[Item]]:
        """Work off what waits; returns what the processes were at when one of them died, if one did."""
        running: dict[Future[Result], Item] = {}
        context = get_context("spawn")
        with safe_path(), ProcessPoolExecutor(count, context, partial(_begin, self.prepare)) as pool:
            _check_start(pool, work)
            try:
                while waiting or running:
                    while waiting and len(running) < count:
                        running[pool.submit(work, waiting[0])] = waiting[0]
                        waiting.popleft()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        yield Done(running.pop(future), result)
            except BrokenProcessPool:
                return list(running.values())
            finally:  # after an error or Ctrl-C nothing new is begun
                pool.shutdown(cancel_futures=True)
        return []


def _check_start(pool: ProcessPoolExecutor, work: Callable[..., Any]) -> None:
    """Tell processes that cannot even begin, or do not know the function, from items that kill them.

    Raises:
        DofkitError: they cannot.
    """
    try:
        pool.submit(callable, work).result()
    except BrokenProcessPool:
        raise DofkitError(
            "processes of Python cannot begin this work; in a script of your own, take functions of modules and begin "
            "below `if __name__ == '__main__':`, or do one thing at a time (--jobs 1, --workers 1)"
        ) from None


def _begin(prepare: Callable[[], object] | None) -> None:
    end_with_owner()
    if prepare is not None:
        prepare()


@dataclass(frozen=True)
class RayCluster:
    """On an existing Ray cluster, whose machines have dofkit installed and see the same files.

    Attributes:
        address: `ray://HOST:PORT`, `HOST:PORT`, or `auto` for the one that this machine belongs to.
        memory: bytes that one item needs; 0: not known.
        at_once: items at most; None: as many as the cluster has CPUs for.
    """

    address: str
    memory: int = 0
    at_once: int | None = None

    def over(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Done[Item, Result] | Lost[Item]]:
        ray = require("ray", "cluster", "spreading work over a Ray cluster")
        waiting: deque[Item] = deque(items)
        running: dict[Any, Item] = {}
        with _connected(ray, self.address):
            task = ray.remote(_call).options(max_retries=_RETRIES, memory=self.memory or None)
            most = self.at_once or 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
            try:
                while waiting or running:
                    while waiting and len(running) < most:
                        running[task.remote(work, waiting[0])] = waiting[0]
                        waiting.popleft()
                    finished, _ = ray.wait(list(running))
                    yield _outcome(ray, finished[0], running.pop(finished[0]))
            finally:
                for reference in running:
                    ray.cancel(reference, force=True)


def _call(work: Callable[[Item], Result], item: Item) -> Result:
    return work(item)


def _outcome(ray: Any, reference: Any, item: Item) -> Done[Item, Any] | Lost[Item]:
    errors = ray.exceptions
    try:
        return Done(item, ray.get(reference))
    except (errors.WorkerCrashedError, errors.OutOfMemoryError, errors.NodeDiedError) as error:
        return Lost(item, f"its process on the cluster died {_RETRIES + 1} times ({type(error).__name__})")


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """A connection to a cluster; one that the program has already stays.

    Raises:
        DofkitError: no cluster answers there.
    """
    if ray.is_initialized():
        yield
        return
    try:
        _reach(address)
        ray.init(address, log_to_driver=False, logging_level="ERROR", runtime_env={"env_vars": {SAFE_PATH: "1"}})
    except (OSError, RuntimeError, ValueError) as error:  # ConnectionError is an OSError
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DofkitError(
            f"--ray {address}: no cluster answers there ({reason}); start one with `ray start --head` and give its "
            "HOST:PORT, or auto on a machine of the cluster"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Fail at once where nothing listens; Ray itself tries for a minute.

    Raises:
        OSError: nothing listens there.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), _PATIENCE_S).close()


def mapper_of(processes: int, ray: str | None, prepare: Callable[[], object] | None = None) -> Mapper:
    """What a user asks for: a cluster, several processes, or this one.

    Args:
        processes: how many on this machine; 1 is this one.
        ray: address of a cluster, see `RayCluster`.
        prepare: called once in each process of this machine that is not this one.
    """
    if ray is not None:
        return RayCluster(ray)
    return Processes(processes, prepare) if processes > 1 else InTurn()

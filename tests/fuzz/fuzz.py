"""Have every reader of dofkit read damaged files: `python -m tests.fuzz.fuzz --count 5000 --seed 0`.

A case is known by its seed and its number. Results are appended to OUT/results.jsonl as they come: the same command
goes on where it was stopped. What fails is kept in OUT/failures, with its traceback, to be read again by
`--case NUMBER`. Exit code 1 if anything failed.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from .entries import KINDS, case_of, kind_of
from .seeds import Tree, sound_files, write_tree
from .verdicts import MEGABYTES, SECONDS, Verdict, judge

Sound = dict[str, list[Tree]]
_HEADROOM = (MEGABYTES + 2048) * 2**20  # of address space: libraries reserve more than they use
# A process whose own alarm does not ring is stuck in foreign code, or waits for ever: seconds of a core's time, with
# its start, and seconds by the clock, of which a crowded machine takes many.
_STUCK, _WAITS = 6 * SECONDS, 60 * SECONDS


@click.command()
@click.option("--count", type=click.IntRange(1), default=5000, show_default=True, help="How many files.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--case", type=click.IntRange(0), help="Make and read this case alone, and show what comes of it.")
@click.option("--kind", "kinds", type=click.Choice(list(KINDS)), multiple=True, help="These kinds only.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs/fuzz"), show_default=True, help="Results and failures."
)
def main(count: int, seed: int, workers: int, case: int | None, kinds: tuple[str, ...], out: Path) -> None:
    """Damage files of every kind and have them read."""
    sound = sound_files()
    if case is not None:
        verdict = judge(case, kind_of(case), case_of(seed, case, sound))
        click.echo(f"case {case} ({verdict.kind}): {verdict.outcome}, {verdict.seconds:.2f} s\n{verdict.detail}")
        sys.exit(int(verdict.failed))
    numbers = [number for number in range(count) if not kinds or kind_of(number) in kinds]
    out.mkdir(parents=True, exist_ok=True)
    journal = out / f"results-{seed}.jsonl"
    known = {verdict.number: verdict for verdict in _read_journal(journal)}
    verdicts = [known[number] for number in numbers if number in known]
    left = [number for number in numbers if number not in known]
    started = time.perf_counter()
    with journal.open("a") as file, Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("files read", total=len(numbers), completed=len(verdicts))
        for verdict in run_cases(left, seed, sound, workers):
            file.write(json.dumps(dataclasses.asdict(verdict)) + "\n")
            file.flush()
            if verdict.failed:
                _keep(verdict, case_of(seed, verdict.number, sound), out / "failures")
                progress.console.print(f"case {verdict.number} ({verdict.kind}): {verdict.outcome}")
            verdicts.append(verdict)
            progress.advance(task)
    _print_summary(verdicts, len(left), time.perf_counter() - started)
    sys.exit(int(any(verdict.failed for verdict in verdicts)))


def run_cases(numbers: Iterable[int], seed: int, sound: Sound, workers: int) -> Iterator[Verdict]:
    """Have cases read by processes that may die of it."""
    waiting = iter(numbers)
    pool = {worker.pipe: worker for worker in (_Worker(seed, sound) for _ in range(workers))}
    try:
        for worker in pool.values():
            worker.give(next(waiting, None))
        while any(worker.number is not None for worker in pool.values()):
            wait(list(pool), timeout=1)
            for worker in list(pool.values()):
                verdict = worker.verdict()
                if verdict is None:
                    continue
                yield verdict
                if not worker.process.is_alive():
                    worker.close()
                    del pool[worker.pipe]
                    worker = _Worker(seed, sound)
                    pool[worker.pipe] = worker
                worker.give(next(waiting, None))
    finally:
        for worker in pool.values():
            worker.close()


class _Worker:
    """A process that reads cases, one at a time."""

    def __init__(self, seed: int, sound: Sound) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, seed, sound), daemon=True)
        self.process.start()
        theirs.close()
        self.number: int | None = None
        self._started = self._worked = 0.0

    def give(self, number: int | None) -> None:
        """Have it read a case; None is nothing more to do."""
        self.number, self._started, self._worked = number, time.monotonic(), self._busy()
        if number is not None:
            self.pipe.send(number)

    def verdict(self) -> Verdict | None:
        """What became of its case, if that is known."""
        if self.number is None:
            return None
        try:
            if self.pipe.poll():
                return self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            return self._lost("crash", f"the process ended with code {self.process.exitcode}")
        if time.monotonic() - self._started > _WAITS or self._busy() - self._worked > _STUCK:
            self.process.kill()
            self.process.join()
            return self._lost("hang", "the process did not come back")
        return None

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def _busy(self) -> float:
        """Seconds of a core's time that the process has used; 0 where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _lost(self, outcome: str, detail: str) -> Verdict:
        assert self.number is not None
        return Verdict(self.number, kind_of(self.number), outcome, detail, time.monotonic() - self._started, 0.0)


def serve(pipe: Connection, seed: int, sound: Sound) -> None:
    """What a worker does: cases come by number, verdicts go back; memory is limited for good."""
    import onnxruntime  # noqa: F401 (before the limit, for its address space is no case's doing)
    import torch

    torch.set_num_threads(1)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _HEADROOM, resource.getrlimit(resource.RLIMIT_AS)[1]))
    while True:
        try:
            number = pipe.recv()
        except EOFError:
            return
        pipe.send(judge(number, kind_of(number), case_of(seed, number, sound)))


def _read_journal(path: Path) -> Iterator[Verdict]:
    if path.is_file():
        for line in path.read_text().splitlines():
            try:
                yield Verdict(**json.loads(line))
            except (ValueError, TypeError):  # the line that was being written when the run was stopped
                continue


def _keep(verdict: Verdict, tree: Tree, folder: Path) -> None:
    """Keep what failed, and how."""
    home = folder / f"{verdict.number}-{verdict.kind}"
    write_tree(tree, home / f"case{KINDS[verdict.kind][1]}")
    (home / "detail.txt").write_text(f"{verdict.outcome}\n{verdict.detail}\n")


def _print_summary(verdicts: list[Verdict], new: int, seconds: float) -> None:
    table = Table(title=f"{len(verdicts)} files, {new} of them read now in {seconds:.0f} s")
    for name in ("kind", "files", "read", "refused", "failed", "slowest s", "most MB", "noisy"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for kind in [*KINDS, "all"]:
        rows = [verdict for verdict in verdicts if kind in (verdict.kind, "all")]
        if not rows:
            continue
        outcomes = Counter(verdict.outcome for verdict in rows)
        cells: list[Any] = [kind, len(rows), outcomes["read"], outcomes["refused"], sum(v.failed for v in rows)]
        cells += [f"{max(v.seconds for v in rows):.2f}", f"{max(v.megabytes for v in rows):.0f}"]
        table.add_row(*map(str, cells), str(sum(v.noise > 0 for v in rows)))
    Console().print(table)


if __name__ == "__main__":
    main()

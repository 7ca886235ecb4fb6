"""Kill commands of dofkit at random moments: `python -m tests.fuzz.kill --count 50 --seed 0`.

Each command runs once undisturbed. Then it is started in a folder, killed, looked at, and started again in the same
folder, time after time. A start that comes to its end must give what the undisturbed run gave, and leave nothing
behind; then it all begins again in an empty folder. After every kill nothing may lie half-written under its final name.
Exit code 1 if anything else was found.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from dofkit.runtime_ref.errors import DofkitError

from .kill_jobs import JOBS, Job, Result

_GRACE = 20.0  # seconds for a process to end after SIGTERM, and for its helpers after it
_LIMIT = 900.0  # seconds after which a run that nobody kills has hung


@dataclass
class Tally:
    """What was found of a job.

    Attributes:
        kills: by the signal's name, those that met the process alive.
        late: kills that came after its end.
        problems: what was wrong, a line each.
        seconds: of the undisturbed run.
    """

    job: Job
    kills: dict[str, int] = field(default_factory=dict)
    late: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def note(self, problem: str) -> None:
        """Add a problem, and say it at once."""
        self.problems.append(problem)
        click.echo(f"{self.job.name}: PROBLEM: {problem}", err=True)


@click.command()
@click.option("--count", type=click.IntRange(1), default=50, show_default=True, help="Kills in all.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--job", "names", type=click.Choice([job.name for job in JOBS]), multiple=True, help="These only.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/kill"), show_default=True)
def main(count: int, seed: int, names: tuple[str, ...], out: Path) -> None:
    """Kill commands at random moments, and see that nothing is lost or half-written."""
    jobs = [job for job in JOBS if not names or job.name in names]
    rng = np.random.default_rng(seed)
    tallies: list[Tally] = []
    # Ctrl-C: what was found so far is shown.
    with suppress(KeyboardInterrupt), Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("kills", total=count)
        for number, job in enumerate(jobs):
            share = count // len(jobs) + (number < count % len(jobs))
            progress.update(task, description=job.name)
            tally = Tally(job)
            tallies.append(tally)
            for _ in _tormented(tally, share, rng, out.absolute() / job.name.replace(" ", "-").replace(",", "")):
                progress.advance(task)
    _print_summary(tallies)
    sys.exit(int(any(tally.problems for tally in tallies)))


def _tormented(tally: Tally, count: int, rng: np.random.Generator, folder: Path) -> Iterator[None]:
    """One job: the undisturbed run, the kills (yields after each), the run that comes to its end."""
    job = tally.job
    calm, rough = folder / "calm", folder / "rough"
    for path in (calm, rough):
        path.mkdir(parents=True)  # an older run's folder would be taken for this one's
    started = time.monotonic()
    _finish(tally, calm, again=False)
    tally.seconds = time.monotonic() - started
    wanted = job.result(calm)
    again = False
    for _ in range(count):
        # Most of a command's first part is imports, which write nothing.
        moment = float(rng.uniform(0.25, 1.1)) * tally.seconds
        kind = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[rng.integers(4)]
        met = _killed(tally, rough, moment, kind, again)
        when = f"{kind.name} after {moment:.1f} s" if met else "a run that came to its end"
        _inspect(tally, rough, when)
        click.echo(f"{job.name}: {when}", err=True)
        again = met
        if not met:
            _compare(tally, rough, wanted)
            shutil.rmtree(rough)
            rough.mkdir()
        yield
    _finish(tally, rough, again)
    _inspect(tally, rough, "the last run")
    _compare(tally, rough, wanted)


def _compare(tally: Tally, out: Path, wanted: Result) -> None:
    """A folder in which a run has come to its end, with that of the undisturbed run."""
    try:
        given = tally.job.result(out)
    except DofkitError as error:
        tally.note(f"there is no result: {error}")
        return
    if given != wanted:
        names = sorted(name for name in {**wanted, **given} if wanted.get(name) != given.get(name))
        tally.note(f"the result differs from an undisturbed run's: {', '.join(names[:5])}")
    left = [path.name for pattern in tally.job.owned for path in out.rglob(pattern)]
    if left:
        tally.note(f"left behind at the end: {', '.join(left[:5])}")


def _start(job: Job, out: Path, again: bool) -> subprocess.Popen[bytes]:
    log = (out.parent / f"{out.name}.log").open("ab")
    command = [sys.executable, "-m", "dofkit", *job.command(out, again)]
    return subprocess.Popen(command, stdout=log, stderr=log, cwd=out.parent, start_new_session=True)


def _finish(tally: Tally, out: Path, again: bool) -> None:
    """A run that nobody kills."""
    process = _start(tally.job, out, again)
    try:
        code = process.wait(_LIMIT)
    except subprocess.TimeoutExpired:
        code = None
        tally.note("a run did not end")
    finally:
        _end_group(process.pid)
    if code not in (0, None):
        tally.note(f"a run that nobody killed ended with code {code}; see {out.parent}")


def _killed(tally: Tally, out: Path, moment: float, kind: signal.Signals, again: bool) -> bool:
    """Start, wait, kill; the process alone is killed, those that it started have to see to themselves.

    Returns:
        Whether the signal met the process alive.
    """
    process = _start(tally.job, out, again)
    try:
        code = process.wait(moment)
    except subprocess.TimeoutExpired:
        process.send_signal(kind)
        tally.kills[kind.name] = tally.kills.get(kind.name, 0) + 1
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            tally.note(f"{kind.name} did not end it within {_GRACE:.0f} s")
        if not _group_ends(process.pid):
            tally.note(f"{kind.name} after {moment:.1f} s: processes that it started live on")
        return True
    else:
        tally.late += 1
        if code != 0:
            tally.note(f"a run that nobody killed ended with code {code}; see {out.parent}")
        return False
    finally:
        _end_group(process.pid)


def _group_ends(group: int) -> bool:
    end = time.monotonic() + _GRACE
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def _end_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _inspect(tally: Tally, out: Path, when: str) -> None:
    try:
        tally.job.sound(out)
    except Exception as error:  # whatever a reader says of a half-written file
        tally.note(f"{when}: {type(error).__name__}: {error}")


def _print_summary(tallies: list[Tally]) -> None:
    console = Console()
    names = ("SIGKILL", "SIGTERM", "SIGINT")
    table = Table(title=f"{sum(sum(tally.kills.values()) for tally in tallies)} kills")
    for name in ("command", "undisturbed s", *names, "ended before", "problems"):
        table.add_column(name, justify="left" if name == "command" else "right")
    for tally in tallies:
        cells = (tally.job.name, f"{tally.seconds:.0f}", *(str(tally.kills.get(name, 0)) for name in names))
        table.add_row(*cells, str(tally.late), str(len(tally.problems)))
    console.print(table)
    for tally in tallies:
        for problem in tally.problems:
            console.print(f"{tally.job.name}: {problem}", markup=False)


if __name__ == "__main__":
    main()

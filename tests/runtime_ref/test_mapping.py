"""Work over many items gives the same wherever it is done, and a process that dies takes only its own item with it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.mapping import Done, InTurn, Lost, Mapper, Processes, RayCluster, every_result, mapper_of

DEADLY = 3


def square(number: int) -> int:
    return number * number


def killed_by(deadly: int, number: int) -> int:
    if number == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def killed_once(mark: Path, number: int) -> int:
    """Dies at one item the first time that it is asked for it."""
    if number == DEADLY and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def given_too(_: object, number: int) -> int:
    return number


def refusing(number: int) -> int:
    raise DofkitError(f"{number} is refused; take another")


def test_in_turn_is_the_builtin_map() -> None:
    outcomes = InTurn().over(square, range(4))
    assert list(outcomes) == [Done(n, n * n) for n in range(4)]


def test_what_is_asked_for_is_one_process_several_or_a_cluster() -> None:
    assert isinstance(mapper_of(1, None), InTurn)
    assert mapper_of(3, None) == Processes(3)
    assert mapper_of(1, "auto") == RayCluster("auto")


def test_a_lost_item_is_an_error_where_all_are_needed() -> None:
    outcomes = iter([Done(1, 1), Lost(2, "its process died")])
    results = every_result(outcomes)
    assert next(results) == 1
    with pytest.raises(DofkitError, match="2: its process died"):
        next(results)


def test_an_address_where_nothing_listens_is_refused_in_one_line() -> None:
    pytest.importorskip("ray", reason="dofkit[cluster] is not installed")
    with socket.socket() as held:  # bound, but nobody listens
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(DofkitError, match="no cluster answers there") as refused:
            list(RayCluster(address).over(square, [1]))
    assert "\n" not in str(refused.value)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A Ray of this machine with two workers."""
    ray = pytest.importorskip("ray", reason="dofkit[cluster] is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield RayCluster("auto")  # the connection that there is already is taken
    ray.shutdown()


@pytest.fixture(params=["processes", "ray"])
def mapper(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Mapper:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # where processes find the functions of this file
    return Processes(2) if request.param == "processes" else request.getfixturevalue("cluster")


@pytest.mark.e2e
def test_everything_comes_back_once(mapper: Mapper) -> None:
    outcomes = list(mapper.over(square, range(20)))
    assert sorted(outcome.item for outcome in outcomes) == list(range(20))
    assert all(isinstance(outcome, Done) and outcome.result == outcome.item**2 for outcome in outcomes)


@pytest.mark.e2e
def test_an_error_of_the_work_is_raised_as_it_is(mapper: Mapper) -> None:
    with pytest.raises(DofkitError, match="1 is refused; take another"):
        list(mapper.over(refusing, [1]))


@pytest.mark.e2e
def test_work_that_processes_cannot_begin_is_an_error_and_no_lost_item() -> None:
    class Unknown:
        def __reduce__(self) -> tuple:
            return exec, ("raise SystemExit",)  # what reads it ends

    with pytest.raises(DofkitError, match="cannot begin this work"):
        list(Processes(2).over(partial(given_too, Unknown()), [1, 2]))


@pytest.mark.e2e
def test_an_item_that_kills_its_process_is_lost_and_no_other(mapper: Mapper) -> None:
    outcomes = {outcome.item: outcome for outcome in mapper.over(partial(killed_by, DEADLY), range(8))}
    lost = outcomes.pop(DEADLY)
    assert isinstance(lost, Lost)
    assert "\n" not in lost.reason
    assert outcomes == {n: Done(n, n * n) for n in range(8) if n != DEADLY}


@pytest.mark.e2e
def test_a_process_that_dies_once_loses_nothing(mapper: Mapper, tmp_path: Path) -> None:
    outcomes = list(mapper.over(partial(killed_once, tmp_path / "died"), range(8)))
    assert (tmp_path / "died").exists()
    assert sorted(every_result(iter(outcomes))) == [n * n for n in range(8)]

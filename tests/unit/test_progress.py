"""How far a run is: the value, and the pace at which it is passed on and looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from math import inf, nan
from typing import Any

import pytest

from ipcq import Progress, StorageError, Task, TaskId
from ipcq.backends.progress import PACE, ProgressTeller, ProgressWatch, Told
from ipcq.testing import FakeClock


@pytest.mark.parametrize(
    ("told", "fraction", "text"),
    [
        (Progress.of(3, 10), 0.3, "3/10"),
        (Progress.of(12, 10), 1.0, "12/10"),
        (Progress.of(0, 0), 1.0, "0/0"),
        (Progress.of(3), None, "3"),
        (Progress.of(0.25, 1), 0.25, "0.25/1"),
    ],
)
def test_a_fraction_where_the_total_is_known(told: Progress, fraction: float | None, text: str) -> None:
    """It is never over 1, and nothing of nothing is all of it."""
    assert (told.fraction, str(told)) == (fraction, text)


@pytest.mark.parametrize("bad", [nan, inf, -inf, -1, -0.1, 10**400])
def test_what_is_no_number_of_something_is_refused(bad: float) -> None:
    """As either of both, by its name and value."""
    with pytest.raises(ValueError, match="done must be a number from 0 to 1e"):
        Progress.of(bad)
    with pytest.raises(ValueError, match="total must be a number from 0 to 1e"):
        Progress.of(1, bad)


class Sink:
    """Takes in what is passed on, or refuses."""

    def __init__(self) -> None:
        self.came: list[list[tuple[Any, float]]] = []
        self.refuses = False

    def send(self, told: Sequence[Told]) -> None:
        """Take it in."""
        self.came.append([(task.args, progress.done) for task, progress in told])
        if self.refuses:
            raise StorageError("away")


@pytest.fixture
def sink() -> Sink:
    """An empty one."""
    return Sink()


@pytest.fixture
def clock() -> FakeClock:
    """Time stands still."""
    return FakeClock()


@pytest.fixture
def teller(sink: Sink, clock: FakeClock) -> ProgressTeller:
    """One that passes on to the sink."""
    return ProgressTeller(sink.send, clock)


def test_the_first_is_passed_on_at_once_and_the_last_in_time(
    teller: ProgressTeller, sink: Sink, clock: FakeClock
) -> None:
    """What comes too soon, of whatever task, waits; the heartbeat takes the newest of each, all together."""
    a, b = Task.of("a"), Task.of("b")
    for n in range(3):
        teller.tell(a, Progress(n))
    for n in (7, 8):
        teller.tell(b, Progress(n))
    assert sink.came == [[("a", 0)]]
    teller.flush()
    assert sink.came[1:] == [[("a", 2), ("b", 8)]]
    teller.flush()
    assert len(sink.came) == 2
    teller.tell(a, Progress(3))
    clock.advance(PACE)
    teller.tell(b, Progress(9))
    assert sink.came[2:] == [[("b", 9)]]
    teller.flush()
    assert sink.came[3:] == [[("a", 3)]]


def test_who_does_not_hear_is_left_to_the_heartbeat(
    teller: ProgressTeller, sink: Sink, clock: FakeClock
) -> None:
    """A handler waits once for it; what was told last is kept until somebody hears it."""
    task = Task.of("a")
    sink.refuses = True
    for n in range(5):
        teller.tell(task, Progress(n))
        clock.advance(1)
    assert sink.came == [[("a", 0)]]
    teller.flush()
    sink.refuses = False
    teller.flush()
    teller.flush()
    assert sink.came == [[("a", 0)], [("a", 4)], [("a", 4)]]
    clock.advance(1)
    teller.tell(task, Progress(5))
    assert sink.came[3:] == [[("a", 5)]]


def test_nothing_is_passed_on_in_an_event_loop(teller: ProgressTeller, sink: Sink) -> None:
    """A store or a server would hold up all coroutines: it is the heartbeat's, in its own thread."""

    async def main() -> None:
        teller.tell(Task.of("a"), Progress(1))

    asyncio.run(main())
    assert sink.came == []
    teller.flush()
    assert sink.came == [[("a", 1)]]


def test_many_short_runs_are_few_messages(teller: ProgressTeller, sink: Sink, clock: FakeClock) -> None:
    """A worker of thousands of tasks a second passes on no more than of one; nothing of them is kept."""
    for n in range(100):
        teller.tell(Task.of(n), Progress(n))
    assert len(sink.came) == 1
    gone = Task.of("over")
    teller.tell(gone, Progress(1))
    teller.forget(gone.id)
    teller.forget(gone.id)
    teller.flush()
    assert sink.came[1:] == [[(n, n) for n in range(1, 100)]]
    assert not teller._waiting


def test_who_tells_does_not_wait_for_another_thread(clock: FakeClock) -> None:
    """While one passes something on, what others tell is noted."""
    came: list[float] = []

    def send(told: Sequence[Told]) -> None:
        came.extend(progress.done for _, progress in told)
        if len(came) == 1:
            passing.tell(Task.of("b"), Progress(2))  # as a thread that comes in the middle

    passing = ProgressTeller(send, clock)
    passing.tell(Task.of("a"), Progress(1))
    assert came == [1]
    passing.flush()
    assert came == [1, 2]


def test_one_who_waits_looks_at_a_pace(clock: FakeClock) -> None:
    """Of what it awaits, what is new, once; where nothing was told since, there is nothing to look at."""
    ids = TaskId.many(3)
    runs = {ids[0]: Progress(1), ids[2]: Progress(9)}
    looks: list[int] = []
    told: list[tuple[TaskId, float]] = []
    counter = 5

    def look(since: int) -> tuple[int, dict[TaskId, Progress]]:
        looks.append(since)
        return counter, dict(runs) if counter != since else {}

    watch = ProgressWatch(look, lambda task_id, progress: told.append((task_id, progress.done)), clock)
    for _ in range(3):
        watch.look(ids[:2])
    assert (looks, told) == ([-1], [(ids[0], 1)])
    clock.advance(PACE)
    watch.look(ids[:2])
    runs[ids[1]], counter = Progress(2), 6
    clock.advance(PACE)
    watch.look(ids[:2])
    assert (looks, told) == ([-1, 5, 5], [(ids[0], 1), (ids[1], 2)])
    watch.look_anew()
    clock.advance(PACE)
    watch.look(ids)
    assert told[2:] == [(ids[2], 9)]


def test_a_look_that_fails_comes_again(clock: FakeClock) -> None:
    """What the backend meets is the wait's affair; what the listener raises is raised, and the rest comes."""
    ids = TaskId.many(2)
    found = {task_id: Progress(1) for task_id in ids}
    answers: Iterator[Any] = iter([StorageError("away"), (3, found), (3, found)])
    told: list[TaskId] = []

    def look(_since: int) -> tuple[int, dict[TaskId, Progress]]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        counter, runs = answer
        return counter, runs

    def tell(task_id: TaskId, _progress: Progress) -> None:
        told.append(task_id)
        if len(told) == 1:
            raise KeyError("enough")

    watch = ProgressWatch(look, tell, clock)
    watch.look(ids)
    clock.advance(PACE)
    with pytest.raises(KeyError):
        watch.look(ids)
    clock.advance(PACE)
    watch.look(ids)
    assert told == ids

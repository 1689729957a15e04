"""Every move of a task, and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ipcq import TRANSITIONS, ErrorInfo, IllegalTransition, Progress, Status, WorkerExit
from ipcq.backends.store import moves
from ipcq.backends.store.record import LARGE, Body, TaskRecord

from .records import OWNER, record

BOOM = ErrorInfo("ValueError", "boom")
RESULT = Body.of(b"1")

Move = Callable[[TaskRecord], TaskRecord]
MOVES: dict[str, Move] = {
    "hold": lambda task: moves.take(task, OWNER, 4, 50, start=False),
    "take": lambda task: moves.take(task, OWNER, 4, 50, start=True),
    "start": lambda task: moves.start(task, 60),
    "finish": lambda task: moves.finish(task, RESULT, "json", 70),
    "fail": lambda task: moves.fail(replace(task, max_attempts=9), BOOM, 90, 70, final=False),
    "fail for good": lambda task: moves.fail(task, BOOM, 90, 70, final=True),
    "give back": moves.give_back,
    "postpone": lambda task: moves.postpone(task, 4, 90, 70),
    "die": lambda task: moves.reclaim(task, None, 0, 70),
    "die too often": lambda task: moves.reclaim(replace(task, max_deaths=0), None, 0, 70),
    "cancel": lambda task: moves.cancel(task, 70),
    "resume": lambda task: moves.resume(task, 4, 90, 70),
}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("name", MOVES)
def test_a_move_is_one_of_the_table_or_refused(name: str, status: Status) -> None:
    """From every status each move ends in a status that the table allows, or raises and changes nothing."""
    task = record(status=status, owner=OWNER if status in (Status.QUEUED, Status.RUNNING) else None, epoch=1)
    try:
        after = MOVES[name](task)
    except IllegalTransition:
        return
    assert (status, after.status) in {(move.source, move.target) for move in TRANSITIONS}
    assert (after.owner is not None) is (after.status in (Status.QUEUED, Status.RUNNING))


@pytest.mark.parametrize("name", MOVES)
def test_what_a_run_told_is_gone_with_its_status(name: str) -> None:
    """Whatever becomes of a RUNNING task, and whoever has it next: how far it was is not told any more."""
    task = moves.tell(record(status=Status.RUNNING, owner=OWNER, epoch=1), Progress(1, 2))
    assert task.progress == Progress(1, 2)
    try:
        assert MOVES[name](task).progress is None
    except IllegalTransition:
        assert name in ("hold", "take", "start")


def test_every_move_of_the_table_is_made() -> None:
    """Between them the moves make every transition but the first, which is a push."""
    made = set()
    for status in Status:
        for move in MOVES.values():
            try:
                made.add((status, move(record(status=status, owner=OWNER)).status))
            except IllegalTransition:
                pass
    assert made == {(move.source, move.target) for move in TRANSITIONS if move.source is not None}


def test_a_hand_out_is_a_new_lease() -> None:
    """Its epoch grows, it has an owner, and the error of the run before is gone."""
    failed = record(status=Status.FAILED, error=BOOM, epoch=4, delayed=True)
    task = moves.take(failed, OWNER, 9, 50, start=True)
    assert (task.epoch, task.owner, task.error, task.started, task.seq) == (5, OWNER, None, 50, 9)
    assert not task.delayed


def test_given_back_at_its_old_place() -> None:
    """What is given back is charged nothing and keeps its place in the order."""
    taken = moves.take(record(attempts=1, deaths=1), OWNER, 9, 50, start=True)
    back = moves.give_back(taken)
    assert (back.status, back.attempts, back.deaths, back.seq) == (Status.PENDING, 1, 1, 9)


def test_postponed_by_a_lease() -> None:
    """What is put off is charged nothing, is nobody's, and is not due; what nobody has is refused."""
    taken = moves.take(record(attempts=1, deaths=1), OWNER, 9, 50, start=True)
    later = moves.postpone(taken, 9, 90, 70)
    assert (later.status, later.attempts, later.deaths, later.owner) == (Status.PENDING, 1, 1, None)
    assert (later.run_at, later.delayed, later.epoch) == (90, True, 2)
    with pytest.raises(IllegalTransition):
        moves.postpone(later, 9, 99, 80)


def test_attempts_are_used_up() -> None:
    """A failed run is followed by another, at its moment and behind the others, until none is left."""
    task = moves.take(record(max_attempts=2), OWNER, 9, 50, start=True)
    failed = moves.fail(task, BOOM, 90, 70, final=False)
    assert (failed.status, failed.attempts, failed.run_at, failed.delayed) == (Status.FAILED, 1, 90, True)
    assert failed.seq == 0
    again = moves.take(failed, OWNER, 9, 95, start=True)
    assert moves.fail(again, BOOM, 99, 97, final=False).status is Status.KILLED


def test_deaths_are_used_up() -> None:
    """A death is survived as often as allowed; the last one tells who died, how, and where to look."""
    task = moves.take(record(max_deaths=1), OWNER, 9, 50, start=True)
    back = moves.reclaim(task, None, 0, 70)
    assert (back.status, back.deaths, back.attempts) == (Status.PENDING, 1, 0)
    again = moves.take(back, OWNER, 9, 80, start=True)
    dead = moves.reclaim(again, WorkerExit(4711, -9, 5_000_000), 0, 90)
    assert (dead.status, dead.deaths) == (Status.KILLED, 2)
    assert dead.error is not None
    assert dead.error.details == {"pid": 4711, "signal": 9, "exitcode": None, "worker": "w", "rss": 5_000_000}
    assert "SIGKILL" in dead.error.message


def test_what_was_only_held_is_charged_nothing() -> None:
    """The death of a worker costs nothing to a task that it had not started."""
    held = moves.take(record(max_deaths=0), OWNER, 9, 50, start=False)
    assert moves.reclaim(held, None, 0, 70).deaths == 0


def test_a_large_payload_goes_with_the_end() -> None:
    """DONE needs no payload that has a record of its own; a small one stays readable."""
    task = moves.take(record(payload=Body(LARGE, None)), OWNER, 9, 50, start=True)
    assert moves.finish(task, RESULT, "json", 70).payload is None
    small = moves.take(record(), OWNER, 9, 50, start=True)
    assert moves.finish(small, RESULT, "json", 70).payload == small.payload


def test_resumed_with_one_run_or_with_all() -> None:
    """A KILLED task has one run more; with reset its attempts and deaths begin again."""
    killed = record(
        status=Status.KILLED, attempts=3, deaths=5, max_deaths=2, error=BOOM, fetched=True, done=1
    )
    again = moves.resume(killed, 8, 70, 70)
    assert (again.attempts, again.deaths, again.error, again.fetched, again.done) == (3, 2, None, False, 0)
    reset = moves.resume(killed, 8, 70, 70, reset=True)
    assert (reset.attempts, reset.deaths) == (0, 0)


def test_cancelled_while_it_ran_is_no_run() -> None:
    """A run that was cut short is not counted as one."""
    running = moves.take(record(), OWNER, 9, 50, start=True)
    cancelled = moves.cancel(running, 70)
    assert (cancelled.started, cancelled.attempts) == (0, 0)
    assert cancelled.error is not None
    assert cancelled.error.type == "Cancelled"


def test_the_first_who_fetches_is_noted_once() -> None:
    """Which write ended a task is kept when it is noted that its result was fetched."""
    done = record(status=Status.DONE)
    assert moves.mark_fetched(done, 12).done_seq == 12
    assert moves.mark_fetched(replace(done, done_seq=5), 12).done_seq == 5

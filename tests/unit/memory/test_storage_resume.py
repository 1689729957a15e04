"""Putting tasks off, bringing them forward, and having finished ones run again."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from ipcq import (
    Conflict,
    ErrorInfo,
    IllegalTransition,
    LeaseLost,
    MemoryStorage,
    Reschedule,
    ResumeById,
    Status,
    TaskId,
    TaskNotFound,
)
from ipcq.backends.memory import amending
from ipcq.backends.memory.layout import OK

from .acting import BOOM, error_of, fetched, status, until, work, worker
from .children import child, elsewhere
from .test_storage_recovery import _holder, _kill_a_holder

if TYPE_CHECKING:
    from .acting import Hands


def _kill_task(queue: MemoryStorage, args: object = 0, **parts: Any) -> TaskId:
    """A task that was run as often as it may be."""
    task_id = queue.push(args, **parts)
    with worker(queue) as hands:
        for _ in range(parts.get("max_attempts", 1)):
            hands.lease.fail(hands.take(), BOOM)
    assert status(queue, task_id) is Status.KILLED
    return task_id


def _put_off(hands: Hands, seconds: float) -> TaskId:
    """Let a task fail that has another attempt left."""
    task = hands.take()
    hands.lease.fail(task, BOOM, retry_in=seconds)
    return task.id


def test_it_says_so(queue: MemoryStorage) -> None:
    """It fulfils `Reschedule` and `ResumeById`, and lists them."""
    assert isinstance(queue, Reschedule)
    assert isinstance(queue, ResumeById)
    assert {"Reschedule", "ResumeById"} <= queue.capabilities()


# --- reschedule -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wait",
    [60, 60.0, timedelta(minutes=1), pytest.param("datetime", id="datetime")],
)
def test_a_task_is_put_off(queue: MemoryStorage, wait: Any) -> None:
    """By seconds, a timedelta, or to a datetime: it is due then, and others come before."""
    first, _ = queue.push_bulk(["first", "second"])
    due = time.time() + 60
    moment = datetime.fromtimestamp(due, timezone.utc) if wait == "datetime" else wait
    assert elsewhere(lambda: queue.reschedule(first, moment)) == "None"
    assert work(queue, 1) == ["second"]
    task = fetched(queue, first)
    assert (task.status, task.attempts) == (Status.PENDING, 0)
    assert task.run_at == pytest.approx(due, abs=5)


def test_a_delayed_task_is_brought_forward(queue: MemoryStorage) -> None:
    """What is due at once is at its old place in the order of acceptance; an idle worker is woken."""
    ids = [queue.push(n, run_at=time.time() + 60) for n in range(2)]
    queue.push(2)
    queue.reschedule(ids[1], 0)
    queue.reschedule(str(ids[0]), timedelta(seconds=-5))
    assert work(queue, 3) == [0, 1, 2]
    task = queue.push(3, run_at=time.time() + 60)
    with worker(queue) as hands:
        timer = threading.Timer(0.05, queue.reschedule, (fetched(queue, task), 0))
        timer.start()
        assert hands.take().args == 3
        timer.join()


def test_priority_stays(queue: MemoryStorage) -> None:
    """A task joins those of its own priority again."""
    low = queue.push("low", priority=-1, run_at=time.time() + 60)
    high = queue.push("high", priority=1, run_at=time.time() + 60)
    queue.push("middle")
    queue.reschedule(low, 0)
    queue.reschedule(high, 0)
    assert work(queue, 3) == ["high", "middle", "low"]


def test_a_task_held_ahead_is_put_off(queue: MemoryStorage) -> None:
    """Whoever held it has lost it, and goes on with the next."""
    ids = queue.push_bulk(range(3))
    with worker(queue, prefetch=3) as hands:
        task = hands.take()
        assert status(queue, ids[1]) is Status.QUEUED
        queue.reschedule(ids[1], 60)
        hands.lease.finish(task, None)
        assert hands.take().args == 2
    assert status(queue, ids[1]) is Status.PENDING


def test_a_running_task_is_put_off_by_force(queue: MemoryStorage) -> None:
    """Else it is left alone; by force it is PENDING, and what the run gives is refused."""
    task_id = queue.push(0)
    with worker(queue) as hands:
        task = hands.take()
        with pytest.raises(IllegalTransition, match="from RUNNING to PENDING"):
            queue.reschedule(task_id, 0)
        assert status(queue, task_id) is Status.RUNNING
        queue.reschedule(task_id, 0, force=True)
        with pytest.raises(LeaseLost):
            hands.lease.finish(task, "stale")
        again = hands.take()
        assert (again.id, again.attempts, again.deaths) == (task_id, 0, 0)
        hands.lease.finish(again, "good")
    assert queue.wait(task_id, 0).unwrap() == "good"


def test_a_result_that_is_being_stored_is_not_put_off(
    queue: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner is not robbed of the memory that it writes to: an error tells so after a while."""
    monkeypatch.setattr(amending, "_LONGEST_COPY", 0.02)
    task_id = queue.push(0)
    with worker(queue) as hands:
        lease = hands.take().lease
        assert lease is not None
        connection = queue._connection
        assert connection.call(connection.finish.reserve_result, *lease, 9000, False) == OK
        with pytest.raises(Conflict, match="storing its result"):
            queue.reschedule(task_id, 0, force=True)
        assert status(queue, task_id) is Status.RUNNING


def test_a_running_task_of_the_dead_is_put_off(queue: MemoryStorage) -> None:
    """It is taken from who is dead first, by the rules for every death."""
    task_id = queue.push(0, max_deaths=0)
    _kill_a_holder(queue)
    queue.reschedule(task_id, 0)
    task = fetched(queue, task_id)
    assert (task.status, task.deaths) == (Status.PENDING, 0)
    assert work(queue, 1) == [0]


def test_finished_tasks(queue: MemoryStorage) -> None:
    """A KILLED one is due again; a DONE one stays what it is; an unknown one is not found."""
    killed = _kill_task(queue)
    queue.reschedule(killed, 0)
    assert work(queue, 1) == [0]
    with pytest.raises(IllegalTransition, match="from DONE to PENDING"):
        queue.reschedule(killed, 0)
    with pytest.raises(TaskNotFound):
        queue.reschedule(TaskId.new(), 0)


@pytest.mark.parametrize("wait", [float("nan"), float("inf"), 1e12])
def test_moments_out_of_bounds(queue: MemoryStorage, wait: float) -> None:
    """What is no moment is refused, and changes nothing."""
    task_id = queue.push(0)
    with pytest.raises(ValueError, match="run_at"):
        queue.reschedule(task_id, wait)
    assert work(queue, 1) == [0]


# --- resume_by_id ---------------------------------------------------------------------------------


def test_a_killed_task_runs_again(queue: MemoryStorage) -> None:
    """Its attempts are kept, it has one more run, and then it is KILLED again."""
    task_id = _kill_task(queue, max_attempts=2)
    assert elsewhere(lambda: queue.resume_by_id(task_id)) == "True"
    assert (fetched(queue, task_id).status, fetched(queue, task_id).attempts) == (Status.PENDING, 2)
    with worker(queue) as hands:
        assert hands.lease.fail(hands.take(), ErrorInfo("Again", "boom")) is Status.KILLED
    assert error_of(queue.wait(task_id, 0)).type == "Again"
    assert fetched(queue, task_id).attempts == 3


def test_reset_gives_all_attempts_back(queue: MemoryStorage) -> None:
    """Attempts and deaths start at 0 again."""
    task_id = _kill_task(queue, max_attempts=2)
    assert queue.resume_by_id(str(task_id), reset=True)
    with worker(queue) as hands:
        assert hands.lease.fail(hands.take(), BOOM) is Status.FAILED
    assert fetched(queue, task_id).attempts == 1


@pytest.mark.parametrize("reset", [False, True])
def test_a_task_that_killed_its_workers_runs_again(queue: MemoryStorage, reset: bool) -> None:
    """Once more, with ``reset`` as often as at first; the queue stays whole through a rebuild."""
    task_id = queue.push(0, max_deaths=1)
    for _ in range(2):
        _kill_a_holder(queue)
        queue.resume_abandoned()
    assert status(queue, task_id) is Status.KILLED
    assert queue.resume_by_id(task_id, reset=reset)
    assert fetched(queue, task_id).deaths == (0 if reset else 1)
    _kill_a_holder(queue)
    queue.resume_abandoned()
    assert status(queue, task_id) is (Status.PENDING if reset else Status.KILLED)


def test_what_is_moved_and_what_is_not(queue: MemoryStorage) -> None:
    """FAILED and not yet due ones are; due, held and DONE ones are not; an unknown one is not found."""
    delayed = queue.push("delayed", run_at=time.time() + 60)
    failed = queue.push("failed", max_attempts=2)
    with worker(queue, prefetch=2) as hands:
        assert _put_off(hands, 60) == failed
        ids = queue.push_bulk(["running", "queued", "due"])
        task = hands.take()
        assert [queue.resume_by_id(task_id) for task_id in (failed, delayed, *ids)] == [
            True, True, False, False, False,
        ]  # fmt: skip
        hands.lease.finish(task, None)
        assert not queue.resume_by_id(ids[0])
    assert work(queue, 4) == ["delayed", "failed", "queued", "due"]
    with pytest.raises(TaskNotFound):
        queue.resume_by_id(TaskId.new())


def test_what_a_dead_worker_had_is_moved(queue: MemoryStorage) -> None:
    """RUNNING and held ones: True, though by then they are due already; of a live one False."""
    ids = queue.push_bulk(range(3))
    with child(_holder(queue, prefetch=3)) as process:
        process.hear()
        assert [queue.resume_by_id(task_id) for task_id in ids[:2]] == [False, False]
        process.kill()
    assert queue.resume_by_id(ids[0], reset=True)
    assert fetched(queue, ids[0]).deaths == 0
    assert not queue.resume_by_id(ids[1])  # it came back with the other
    assert work(queue, 3) == [0, 1, 2]


# --- who waits for it -----------------------------------------------------------------------------


def test_a_wait_goes_on(queue: MemoryStorage) -> None:
    """Who waits for a task that was KILLED and runs again gets the value of that run."""
    task_id = _kill_task(queue)
    assert queue.resume_by_id(task_id)
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(queue.wait(task_id, 20).unwrap()))
    thread.start()
    until(lambda: len(queue._inbox._waiting))
    assert work(queue, 1, lambda args: "good") == [0]
    thread.join()
    assert results == ["good"]


def test_a_result_that_was_fetched_can_come_again(queue: MemoryStorage) -> None:
    """Fetched as KILLED, resumed, and fetched again by the same handle and by another."""
    task_id = _kill_task(queue)
    assert queue.wait(task_id, 0).status is Status.KILLED
    assert queue.resume_by_id(task_id)
    work(queue, 1, lambda args: "good")
    assert queue.wait(task_id, 5).unwrap() == "good"
    assert elsewhere(lambda: queue.wait(task_id, 5).unwrap()) == "good"


def test_a_task_resumed_while_it_is_fetched(queue: MemoryStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the read of its error and the commit of that: the wait ends with the next run's value."""
    task_id = TaskId.parse(elsewhere(lambda: _kill_task(queue)))
    read = type(queue._reader).result

    def resume_first(*args: Any) -> Any:
        result = read(*args)
        patch.undo()
        assert queue.resume_by_id(task_id)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(type(queue._reader), "result", resume_first)
        wait = queue.wait_for([task_id], 20)
        work(queue, 1, lambda args: "good")
    assert next(wait).unwrap() == "good"

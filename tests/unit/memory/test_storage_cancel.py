"""Cancelling tasks in every status, whoever has them."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from ipcq import Cancel, ErrorInfo, LeaseLost, MemoryStorage, Status, TaskFailed, TaskId, TaskNotFound
from ipcq.backends.memory import amending
from ipcq.backends.memory.layout import OK

from .acting import error_of, fetched, status, work, worker
from .children import child, elsewhere
from .test_storage_recovery import _holder, _kill_a_holder

if TYPE_CHECKING:
    from .children import Line


def _is_cancelled(queue: MemoryStorage, task_id: TaskId) -> bool:
    result = queue.wait(task_id, 0)
    return result.status is Status.KILLED and error_of(result).type == "Cancelled"


def test_it_says_so(queue: MemoryStorage) -> None:
    """It fulfils `Cancel`, and lists it."""
    assert isinstance(queue, Cancel)
    assert "Cancel" in queue.capabilities()


def test_pending_tasks_are_cancelled_by_another_process(queue: MemoryStorage) -> None:
    """A waiting or delayed task becomes KILLED with an error that says so; the others run."""
    first, second, third = queue.push_bulk(range(3))
    delayed = queue.push(3, run_at=time.time() + 60)
    assert elsewhere(lambda: [queue.cancel(first), queue.cancel(str(delayed))]) == "[True, True]"
    assert _is_cancelled(queue, first)
    assert _is_cancelled(queue, delayed)
    with pytest.raises(TaskFailed, match="Cancelled"):
        queue.wait(first, 0).unwrap()
    assert work(queue, 2) == [1, 2]
    assert queue.check_status([second, third]) == {second: Status.DONE, third: Status.DONE}


def test_a_task_that_failed_is_cancelled(queue: MemoryStorage) -> None:
    """The run that it is owed does not come."""
    task_id = queue.push(0, max_attempts=3)
    with worker(queue) as hands:
        hands.lease.fail(hands.take(), ErrorInfo("E", "m" * 300), retry_in=60)
    assert queue.cancel(task_id)
    assert _is_cancelled(queue, task_id)
    assert fetched(queue, task_id).attempts == 1


def test_finished_tasks_are_left_alone(queue: MemoryStorage) -> None:
    """Of what is DONE or KILLED already nothing changes; who asks for an unknown one is told."""
    done, killed = queue.push_bulk(range(2))
    work(queue, 1)
    assert [queue.cancel(done), queue.cancel(killed), queue.cancel(killed)] == [False, True, False]
    assert queue.wait(done, 0).unwrap() == 0
    with pytest.raises(TaskNotFound):
        queue.cancel(TaskId.new())


def test_tasks_held_ahead_are_cancelled(queue: MemoryStorage) -> None:
    """A worker finds that a task it held is gone, and goes on with the one behind it."""
    ids = queue.push_bulk(range(4))
    with worker(queue, prefetch=4) as hands:
        task = hands.take()
        assert (
            elsewhere(lambda: (status(queue, ids[1]), queue.cancel(ids[1]))) == "(<Status.QUEUED: 1>, True)"
        )
        hands.lease.finish(task, None)
        assert [hands.take().args, status(queue, ids[1])] == [2, Status.KILLED]


def test_a_running_task_is_left_alone_unless_asked(queue: MemoryStorage) -> None:
    """Without ``running`` the answer is False, and the run counts."""
    task_id = queue.push(0)
    with worker(queue) as hands:
        task = hands.take()
        assert elsewhere(lambda: queue.cancel(task_id)) == "False"
        hands.lease.finish(task, 7)
    assert queue.wait(task_id, 0).unwrap() == 7


def test_a_running_task_is_cancelled_with_its_process(queue: MemoryStorage) -> None:
    """The process that runs it is killed; what it held ahead comes back, nothing charged."""
    ids = queue.push_bulk(range(3))
    with child(_holder(queue, prefetch=3)) as process:
        process.hear()
        assert queue.cancel(ids[0], running=True)
        assert _is_cancelled(queue, ids[0])
        assert process.join() == -signal.SIGKILL
    assert queue.resume_abandoned() == ids[1:]
    assert [fetched(queue, task_id).deaths for task_id in ids] == [0, 0, 0]
    assert work(queue, 2) == [1, 2]


def test_a_task_that_runs_in_this_process_is_taken_from_it(queue: MemoryStorage) -> None:
    """No process kills itself: the lease is void, and what the run gives is refused."""
    task_id = queue.push(0)
    with worker(queue) as hands:
        task = hands.take()
        assert queue.cancel(task_id, running=True)
        with pytest.raises(LeaseLost):
            hands.lease.finish(task, "too late")
    assert _is_cancelled(queue, task_id)


def test_a_running_task_of_the_dead_is_not_running(queue: MemoryStorage) -> None:
    """What a dead worker had comes back first, so that it can be cancelled without ``running``."""
    task_id = queue.push(0)
    _kill_a_holder(queue)
    assert queue.cancel(task_id)
    assert _is_cancelled(queue, task_id)
    assert fetched(queue, task_id).deaths == 1


def test_a_result_that_is_being_stored_is_waited_for(
    queue: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory is not given to others while its owner writes; a process that never ends that is killed."""
    monkeypatch.setattr(amending, "_LONGEST_COPY", 0.05)
    task_id = queue.push(0)

    def hold(line: Line) -> None:
        with worker(queue) as hands:
            lease = hands.take().lease
            assert lease is not None
            connection = queue._connection
            reserve = connection.finish.reserve_result
            assert connection.call(reserve, *lease, 9000, False) == OK
            line.say("has it")
            line.hear()

    with child(hold) as process:
        process.hear()
        assert queue.cancel(task_id, running=True)
        assert process.join() == -signal.SIGKILL
    assert _is_cancelled(queue, task_id)


def test_a_process_that_cannot_be_killed_keeps_only_its_time(
    queue: MemoryStorage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The task is KILLED all the same, its lease void; the log tells why the process lives."""

    def refuse(identity: object) -> bool:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(amending, "kill_process", refuse)
    task_id = queue.push(0)

    def run(line: Line) -> None:
        with worker(queue) as hands:
            task = hands.take()
            line.say("has it")
            line.hear()
            with pytest.raises(LeaseLost):
                hands.lease.finish(task, "too late")

    with child(run) as process:
        process.hear()
        assert queue.cancel(task_id, running=True)
        process.say("go on")
        assert process.join() == 0
    assert _is_cancelled(queue, task_id)
    assert "Operation not permitted" in caplog.text

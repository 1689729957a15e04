"""A worker that runs one task when it is told to, for users' own tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipcq import (
    Attempt,
    CustomBackend,
    HandlerNotFound,
    JsonStorage,
    MemoryStorage,
    NotSupported,
    Progress,
    Status,
    WorkerContext,
)
from ipcq.layers import Retry
from ipcq.testing import CrashPoint, FakeClock, TestWorker
from tests.unit.store.stores import DictStore


def shout(word: str) -> str:
    """A handler; what is empty cannot be shouted."""
    if not word:
        raise ValueError("nothing to shout")
    return word.upper()


async def whisper(word: str) -> str:
    """A coroutine function as a handler."""
    if not word:
        raise ValueError("nothing to whisper")
    return word.lower()


def count(to: int, context: WorkerContext) -> int:
    """A handler that tells how far it is."""
    context.progress(to, to)
    return to


def note(path: str, attempt: Attempt) -> int:
    """A handler with an effect that others can see."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{attempt}\n")
    return int(attempt)


@pytest.fixture(params=["memory", "json", "custom"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """An empty queue of each kind."""
    if request.param == "memory":
        yield request.getfixturevalue("queue")
        return
    made: Any = (
        JsonStorage(tmp_path / "tasks.jsonl") if request.param == "json" else CustomBackend(store=DictStore())
    )
    with made:
        yield made


def test_one_task_at_a_time(backend: Any) -> None:
    """Each call runs the next one to its end; none is left in the end, and that does not wait."""
    ids = backend.push_bulk(["a", ""])
    worker = TestWorker(backend, shout)

    first = worker.execute_next()
    assert first is not None
    assert (first.task.id, first.value, first.status) == (ids[0], "A", Status.DONE)
    assert first.unwrap() == "A"
    assert backend.check_status(ids)[ids[1]] is Status.PENDING

    second = worker.execute_next()
    assert second is not None
    assert second.status is Status.KILLED
    with pytest.raises(ValueError, match="nothing to shout"):
        second.unwrap()
    assert worker.execute_next() is None
    assert "2 tasks" in repr(worker)


def test_coroutine_functions_are_run_as_well(queue: MemoryStorage) -> None:
    """One at a time, with what they gave or raised."""
    queue.push_bulk(["A", ""])
    given, raised = TestWorker(queue, whisper).execute_all()
    assert (given.value, given.status) == ("a", Status.DONE)
    with pytest.raises(ValueError, match="nothing to whisper"):
        raised.unwrap()


def test_time_passes_when_it_is_told_to(backend: Any) -> None:
    """What is put off by a retry is due when the clock was put forward by so much, and no sooner."""
    clock = FakeClock(1000.0)
    task_id = backend.push("", max_attempts=2)
    worker = TestWorker(backend, shout, layers=[Retry(delay=300.0, jitter=0)], clock=clock)

    first = worker.execute_next()
    assert first is not None
    assert first.status is Status.FAILED
    assert worker.execute_next() is None
    clock.advance(250.0)
    assert worker.execute_next() is None
    clock.sleep(51.0)
    assert [each.status for each in worker.execute_all()] == [Status.KILLED]

    assert clock() == pytest.approx(1301.0)
    assert backend.fetch_by_id(task_id).attempts == 2
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


def test_all_that_is_due_is_bounded(queue: MemoryStorage) -> None:
    """A task that pushes itself does not run for ever."""

    def again(number: int) -> None:
        queue.push(number + 1)

    queue.push(0)
    with pytest.raises(RuntimeError, match="push itself"):
        TestWorker(queue, again).execute_all(most=5)


def test_a_clock_needs_a_backend_that_can_put_tasks_forward() -> None:
    """Others say so."""
    clock = FakeClock()
    with CustomBackend(fetch=list) as backend:
        TestWorker(backend, shout, clock=clock)
        with pytest.raises(NotSupported, match="Update"):
            clock.advance(1.0)


@pytest.mark.one_fork_server
@pytest.mark.parametrize(
    ("point", "runs", "status"),
    [(CrashPoint.TAKEN, 1, None), (CrashPoint.HANDLED, 2, None), (CrashPoint.STORED, 1, Status.DONE)],
)
def test_a_worker_that_dies(
    make_queue: Any, tmp_path: Path, point: CrashPoint, runs: int, status: Status | None
) -> None:
    """Its task comes back unless its end was stored; how often it ran is what the point says."""
    queue = make_queue()
    path = tmp_path / "runs"
    task_id = queue.push(str(path))
    worker = TestWorker(queue, note)

    assert worker.crash_next(point)

    assert queue.check_status([task_id])[task_id] is (status or Status.PENDING)
    again = worker.execute_next()
    assert (again is None) is (status is Status.DONE)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == runs
    assert lines[-1] == ("1" if status else "2")
    assert queue.wait(task_id, 1.0).value == int(lines[-1])
    assert not worker.crash_next(point)  # there is nothing left


def test_a_handler_that_no_other_process_finds(queue: MemoryStorage) -> None:
    """Is told before anything is killed, and the task stays."""
    task_id = queue.push(1)
    with pytest.raises(HandlerNotFound, match="cannot be sent to worker processes"):
        TestWorker(queue, lambda args: args).crash_next(CrashPoint.TAKEN)
    assert queue.check_status([task_id])[task_id] is Status.PENDING


def test_how_far_it_is_can_be_looked_at(backend: Any) -> None:
    """While it runs, by a layer of the test, as anybody sees it."""
    task_id = backend.push(3)
    seen: list[Progress | None] = []

    def look(task: Any, context: Any, call_next: Any) -> Any:
        value = call_next(task, context)
        seen.append(backend.fetch_by_id(task_id).progress)
        return value

    executed = TestWorker(backend, count, layers=[look]).execute_next()
    assert executed is not None
    assert (executed.unwrap(), seen) == (3, [Progress(3, 3)])

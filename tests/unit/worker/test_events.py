"""What listeners are told of a worker."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from ipcq import (
    Abort,
    CustomBackend,
    MemoryStorage,
    Monitor,
    RetryAfter,
    Status,
    Task,
    TaskId,
    Worker,
    WorkerContext,
)
from ipcq.layer import CallNext, PutOff
from ipcq.worker import events
from ipcq.worker.heartbeat import Heartbeat

from .fakes import FakeBackend, FakeLease, outcomes


def _names(told: list[Any]) -> list[str]:
    return [type(event).__name__ for event in told if not isinstance(event, events.HeartBeat)]


def handle(number: int, context: WorkerContext) -> int:
    """Succeeds, fails, aborts or tells, as it is asked."""
    if number == 1:
        raise RetryAfter(60.0)
    if number == 2:
        raise Abort("never")
    if number == 3:
        context.tell("seen", {"number": number})
    return number


def test_everything_is_told_in_its_order(queue: MemoryStorage) -> None:
    """From the start to the stop; how a run ended only once that is stored."""
    told: list[Any] = []
    statuses: list[Any] = []

    def listen(event: Any) -> None:
        told.append(event)
        if isinstance(event, (events.Success, events.Retry, events.Killed)):
            statuses.append(queue.check_status([event.task.id])[event.task.id])

    queue.push_bulk([0, 1, 2, 3], max_attempts=2)
    worker = Worker("w", queue, handle, on_event=listen)
    worker.run(until_empty=True)

    assert _names(told) == [
        "Start",
        *("TaskStart", "Success"),
        *("TaskStart", "Error", "Retry"),
        *("TaskStart", "Error", "Killed"),
        *("TaskStart", "Custom", "Success"),
        "Idle",
        "Stop",
    ]
    assert statuses == [Status.DONE, Status.FAILED, Status.KILLED, Status.DONE]
    retry = next(event for event in told if isinstance(event, events.Retry))
    assert (retry.worker, retry.queue, retry.retry_in) == ("w", queue.queue, 60.0)
    custom = next(event for event in told if isinstance(event, events.Custom))
    assert (custom.name, custom.data) == ("seen", {"number": 3})


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_listeners_add_up_and_disturb_nobody(
    caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    """What one raises is logged; the others are told, and the worker goes on."""
    told: list[Any] = []
    backend = FakeBackend([1])
    worker = Worker("w", backend, lambda args: args)

    @worker.on_event
    def fails(event: Any) -> None:
        raise error

    worker.on_event(told.append)
    worker.run(until_empty=True)
    assert _names(told) == ["Start", "TaskStart", "Success", "Idle", "Stop"]
    assert "listener" in caplog.text
    assert error.__name__ in caplog.text
    assert outcomes(backend) == [("finish", 1, 1)]


def test_a_lost_lease_is_no_end_of_a_run() -> None:
    """Nothing is told of a run whose task is somebody else's by now."""
    told: list[Any] = []
    backend = FakeBackend([1])
    worker = Worker("w", backend, lambda args: args, on_event=told.append)
    backend.lease.lost = True
    worker.run(until_empty=True)
    assert _names(told) == ["Start", "TaskStart", "Idle", "Stop"]


def test_pauses_and_heartbeats_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause when it begins and when it is over; a heartbeat each time."""
    told: list[Any] = []
    worker = Worker("w", FakeBackend([1]), lambda args: args, on_event=told.append)
    worker.pause()
    monkeypatch.setattr("ipcq.worker.pausing.Pause.wait", lambda _: worker.resume())
    worker.run(until_empty=True)
    assert _names(told) == ["Start", "Pause", "Resume", "TaskStart", "Success", "Idle", "Stop"]

    beaten = threading.Event()
    with Heartbeat(FakeLease(), print, beaten=lambda _: beaten.set(), interval=0.001):
        assert beaten.wait(10)


def test_a_backend_of_functions_tells_too() -> None:
    """Whatever kind of lease it has."""
    told: list[Any] = []
    with CustomBackend(fetch=[1, 2]) as backend:
        Worker("w", backend, lambda args: args, on_event=told.append).run(until_empty=True)
    assert _names(told).count("Success") == 2


def test_what_a_heartbeat_returned_is_told() -> None:
    """Which tasks of dead owners went back, once; a heartbeat that returned none tells nothing of it."""
    told: list[Any] = []
    ids = (TaskId.new(), TaskId.new())
    backend = FakeBackend()
    backend.lease.returned = list(ids)
    worker = Worker("w", backend, lambda args: args, on_event=told.append)
    enough = threading.Event()
    worker.on_event(lambda event: enough.set() if len(told) >= 4 else None)
    with Heartbeat(backend.lease, print, beaten=worker._tell.beaten, interval=0.001):
        assert enough.wait(10)
    assert [type(event).__name__ for event in told[:3]] == ["HeartBeat", "Recovered", "HeartBeat"]
    recovered = [event for event in told if isinstance(event, events.Recovered)]
    assert [event.task_ids for event in recovered] == [ids]


def put_off(task: Task[Any], context: Any, call_next: CallNext) -> Any:
    """A layer that lets no task run."""
    raise PutOff(60.0, "not now")


def test_a_task_that_is_put_off_is_told(queue: MemoryStorage) -> None:
    """With the seconds, instead of an end of a run; once it is so."""
    told: list[Any] = []
    task_id = queue.push(1)
    worker = Worker("w", queue, lambda args: args, layers=[put_off], on_event=told.append)
    worker.run(until_empty=True)
    assert _names(told) == ["Start", "TaskStart", "Postponed", "Idle", "Stop"]
    postponed = next(event for event in told if isinstance(event, events.Postponed))
    assert (postponed.task.id, postponed.seconds) == (task_id, 60.0)


def test_a_run_that_is_broken_off_is_told(queue: MemoryStorage) -> None:
    """The second stop gives the task back, and that is told."""
    told: list[Any] = []
    task_id = queue.push(1)

    def stop_twice(_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    Worker("w", queue, stop_twice, on_event=told.append).run()
    assert _names(told) == ["Start", "TaskStart", "GivenBack", "Stop"]
    assert [event.task.id for event in told if isinstance(event, events.GivenBack)] == [task_id]


def append(event: Any) -> None:
    """A listener that a worker process finds."""
    if isinstance(event, events.Success):
        Path(event.value).write_text(event.worker, encoding="utf-8")


def same(path: str) -> str:
    """A handler."""
    return path


@pytest.mark.one_fork_server
def test_in_the_processes_of_a_monitor(queue: MemoryStorage, tmp_path: Path) -> None:
    """A listener is called where the worker runs; it has happened when the result is there, or soon after."""
    path = tmp_path / "told"
    with Monitor(queue, same, workers=1, on_event=append):
        queue.wait(queue.push(str(path)), 20)
    assert path.read_text(encoding="utf-8").endswith("-0")  # at the end of the block all have finished


def die_once(path: str) -> str:
    """A handler that kills its process in the first run."""
    try:
        Path(path).touch(exist_ok=False)
    except FileExistsError:
        return path
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def note_recovered(event: Any) -> None:
    """A listener that writes down what came back, and who told it."""
    if isinstance(event, events.Recovered):
        told = [str(os.getpid()), event.worker, event.queue, *map(str, event.task_ids)]
        Path(os.environ["IPCQ_DIR"], "recovered").write_text(" ".join(told), encoding="utf-8")


@pytest.mark.one_fork_server
def test_a_monitor_tells_what_it_returned(queue: MemoryStorage, tmp_path: Path) -> None:
    """In its own process, under its own name, before the task is run again."""
    with Monitor(queue, die_once, workers=1, on_event=note_recovered, name="m"):
        task_id = queue.push(str(tmp_path / "died"))
        queue.wait(task_id, 20)
    told = Path(os.environ["IPCQ_DIR"], "recovered").read_text(encoding="utf-8")
    assert told == f"{os.getpid()} m {queue.queue} {task_id}"

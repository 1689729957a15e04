"""Runs that are put off while a service fails."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from ipcq import Abort, CustomBackend, JsonStorage, MemoryStorage, Pipe, RetryAfter, Status, Task, Worker
from ipcq.layer import ForcedStop, GivenUp, Overrun, PutOff
from ipcq.layers import CircuitBreaker, Retry
from ipcq.testing import FakeClock, TestWorker


def _run(layer: CircuitBreaker, error: BaseException | None = None) -> str:
    """What came of a run that raises ``error``."""

    def call_next(task: Task[Any], context: Any) -> str:
        if error is not None:
            raise error
        return "value"

    try:
        return str(layer(Task.of(1), None, call_next))
    except BaseException as raised:
        return type(raised).__name__


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def test_it_opens_probes_and_closes() -> None:
    """Two failures keep runs out for a while; the first one after it decides."""
    clock = FakeClock(100)
    layer = CircuitBreaker(2, 60, 30, clock=clock)
    assert [_run(layer, OSError()) for _ in range(3)] == ["OSError", "OSError", "PutOff"]
    clock.advance(10)
    with pytest.raises(PutOff, match=r"CircuitBreaker open|Circuit open") as put_off:
        layer(Task.of(1), None, lambda task, _: task.args)
    assert put_off.value.seconds == 20
    clock.advance(20)
    assert [_run(layer, OSError()), _run(layer)] == ["OSError", "PutOff"]
    clock.advance(30)
    assert [_run(layer) for _ in range(2)] == ["value", "value"]
    assert repr(layer) == "<CircuitBreaker closed: 0 of 2 failures>"


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (OSError(), "open"),
        (ValueError(), "closed"),
        (Abort("bad"), "closed"),
        (RetryAfter(1), "closed"),
        (_caused(RetryAfter(1), OSError()), "open"),
        (_caused(GivenUp("no"), ValueError()), "closed"),
        (Overrun(TimeoutError()), "open"),
        (Overrun(MemoryError()), "closed"),
        (ForcedStop(), "closed"),
    ],
)
def test_what_counts_as_a_failure(error: BaseException, state: str) -> None:
    """Errors of `on`, under what other layers made of them, and runs that were ended for being too long."""
    layer = CircuitBreaker(1, on=OSError)
    _run(layer, error)
    assert state in repr(layer)


@pytest.mark.parametrize(
    ("error", "state"), [(ValueError(), "closed"), (ForcedStop(), "open"), (OSError(), "open")]
)
def test_a_probe_that_does_not_return(error: BaseException, state: str) -> None:
    """Another error shows that the service answers; after a forced stop the next run is the probe."""
    clock = FakeClock(100)
    layer = CircuitBreaker(1, on=OSError, clock=clock)
    _run(layer, OSError())
    clock.advance(30)
    _run(layer, error)
    assert state in repr(layer)
    assert (_run(layer) == "PutOff") == isinstance(error, OSError)


def test_threads_share_one_probe() -> None:
    """Of threads that come at once when it is time, one is let through."""
    clock = FakeClock(100)
    layer = CircuitBreaker(1, clock=clock)
    _run(layer, OSError())
    clock.advance(30)
    begin, goes_on = threading.Barrier(8), threading.Event()
    done: list[str] = []

    def probe(task: Task[Any], context: Any) -> None:
        assert goes_on.wait(30)

    def run() -> None:
        begin.wait()
        try:
            layer(Task.of(1), None, probe)
            done.append("probe")
        except PutOff:
            done.append("put off")
            if len(done) == 7:
                goes_on.set()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == ["probe", *["put off"] * 7]


@pytest.fixture(params=["memory", "json", "pipe"])
def backend(request: pytest.FixtureRequest, queue: MemoryStorage, tmp_path: Path) -> Iterator[Any]:
    """Queues that can put tasks off."""
    with ExitStack() as stack:
        if request.param == "memory":
            yield queue
        elif request.param == "json":
            yield stack.enter_context(closing(JsonStorage(tmp_path / "queue.jsonl")))
        else:
            server = stack.enter_context(Pipe.serve(queue, f"ipc://{tmp_path}/socket"))
            yield stack.enter_context(closing(Pipe(server.endpoint)))


def test_being_put_off_costs_nothing(backend: Any) -> None:
    """A task that has one attempt waits until the service is back; other layers do not see it."""
    clock, calls = FakeClock(100), list[int]()
    layer = CircuitBreaker(1, 60, 1000, clock=clock)
    _run(layer, OSError())
    worker = TestWorker(backend, calls.append, layers=[Retry(), layer])
    ids = backend.push_bulk([1, 2], max_attempts=1)
    assert [type(run.error) for run in worker.execute_all()] == [PutOff, PutOff]
    for task_id in ids:
        task = backend.fetch_by_id(task_id)
        assert (task.status, task.attempts, task.deaths) == (Status.PENDING, 0, 0)
        assert 900 < task.run_at - time.time() <= 1000
        backend.reschedule(task_id, 0)
    clock.advance(1000)
    assert [run.status for run in worker.execute_all()] == [Status.DONE, Status.DONE]
    assert sorted(calls) == [1, 2]


def test_a_backend_that_cannot_put_off_is_told_of_a_failed_run() -> None:
    """Functions know of no moment: the run counts, as for `RetryAfter`."""
    told: list[Any] = []
    layer = CircuitBreaker(1)
    _run(layer, OSError())
    rows = iter([1])
    backend = CustomBackend(
        fetch=lambda: next(rows, None), ack=lambda task, result: told.append(result.error)
    )
    Worker("worker", backend, print, layers=[layer]).run(until_empty=True)
    assert [error.type for error in told] == ["ipcq.errors.RetryAfter"]


def test_what_is_not_ours_any_more_is_left_alone(queue: MemoryStorage) -> None:
    """A task that was given to others in between is not put off."""
    layer = CircuitBreaker(1)
    _run(layer, OSError())
    task_id = queue.push(1)

    def taken(task: Task[Any], context: Any, call_next: Any) -> Any:
        queue.reschedule(task_id, 5, force=True)
        return call_next(task, context)

    TestWorker(queue, print, layers=[taken, layer]).execute_next()
    task = queue.fetch_by_id(task_id)
    assert task is not None
    assert task.run_at - time.time() < 6


@pytest.mark.parametrize("options", [{"failures": 0}, {"window": 0}, {"reset_after": float("inf")}])
def test_numbers_out_of_bounds(options: dict[str, Any]) -> None:
    """They are refused, and named."""
    with pytest.raises(ValueError, match=next(iter(options))):
        CircuitBreaker(**options)


def test_a_copy_begins_anew() -> None:
    """A Monitor hands layers to its workers: settings travel, locks and what was seen do not."""
    layer = CircuitBreaker(1, 60, 30, on=OSError)
    _run(layer, OSError())
    copy = pickle.loads(pickle.dumps(layer))
    assert repr(copy) == "<CircuitBreaker closed: 0 of 1 failures>"
    assert [_run(copy, each) for each in (ValueError(), OSError(), None)] == [
        "ValueError",
        "OSError",
        "PutOff",
    ]


def test_what_is_no_class_of_errors_is_refused() -> None:
    """At once, not when the first run fails."""
    with pytest.raises(TypeError, match=r"on=.* class of errors"):
        CircuitBreaker(on=[OSError])  # type: ignore[arg-type]

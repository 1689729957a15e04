"""A worker whose server is killed, or ends, goes on with the next one, and with the task that it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import ipcq
from ipcq import LeaseLost, Pipe, QueueClosed, Status, StorageError, Task
from ipcq.backend import TaskStream
from ipcq.backends.pipe.frames import Verb
from ipcq.backends.pipe.working import LAST_PATIENCE
from ipcq.worker.events import Idle

from .serving import Served, end, kill, serving

PATIENCE = 20.0

ends = pytest.mark.parametrize("ended", [kill, pytest.param(end, marks=pytest.mark.slow)])


@pytest.fixture(params=["memory", pytest.param("json", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, private_directory: Path) -> Iterator[str]:
    """Of a queue that is empty, and removed afterwards."""
    made = "memory://restarts" if request.param == "memory" else f"json://{private_directory}/queue.jsonl"
    with ipcq.connect(made) as backend:
        assert not isinstance(backend, Pipe)
        yield made
        backend.destroy(force=True)


@pytest.fixture
def endpoint(private_directory: Path) -> str:
    """Where the servers are, one after the other."""
    return f"ipc://{private_directory}/socket"


@ends
def test_what_runs_goes_on(url: str, endpoint: str, ended: Callable[[Served], None]) -> None:
    """What the worker finishes counts; what was only held for it comes next; nobody is charged."""
    with serving(url, endpoint) as first, Pipe(endpoint) as client:
        ids = client.push_bulk(["runs", "held", "waits"])
        lease = client.register_worker("worker")
        stream = client.poll(lease, prefetch=2)
        task = _next(stream)
        ended(first)
        with serving(url, endpoint), lease:
            lease.finish(task, "in time")
            rest = [_next(stream), _next(stream)]
            assert [each.args for each in rest] == ["held", "waits"]
            assert [(each.attempts, each.deaths) for each in rest] == [(0, 0), (0, 0)]
            lease.give_back(rest[1])
            lease.heartbeat()
            assert [each.id for each in client.list_workers()] == ["worker"]
            assert client.wait(ids[0], PATIENCE).unwrap() == "in time"
            stream.close()
            lease.close()
            assert client.check_status(ids[1:]) == dict.fromkeys(ids[1:], Status.PENDING)
            assert client.list_workers() == []


@ends
def test_what_was_on_its_way_comes_again(url: str, endpoint: str, ended: Callable[[Served], None]) -> None:
    """A task that the server had started, but the worker never got, is not stuck with it."""
    with serving(url, endpoint) as first, Pipe(endpoint) as client:
        task_id = client.push("lost")
        lease = client.register_worker("worker")
        stream = client.poll(lease)
        taken = client._use().call(Verb.TAKE, lease.token, 1.0, 1, wait=1.0)
        assert taken.body is not None
        ended(first)
        with serving(url, endpoint), lease:
            again = _next(stream)
            assert (again.id, again.attempts, again.deaths) == (task_id, 0, 0)
            lease.finish(again, None)


@pytest.mark.slow
def test_a_worker_leaves_by_the_next_server(url: str, endpoint: str) -> None:
    """All that it had of the first is given back when it closes."""
    with serving(url, endpoint) as first, Pipe(endpoint) as client:
        ids = client.push_bulk([1, 2])
        lease = client.register_worker("worker")
        _next(client.poll(lease, prefetch=2))
        kill(first)
        with serving(url, endpoint):
            lease.close()
            assert client.list_workers() == []
            assert client.check_status(ids) == dict.fromkeys(ids, Status.PENDING)
            with pytest.raises(QueueClosed):
                lease.heartbeat()


@pytest.mark.slow
def test_a_worker_without_a_server_is_alive(url: str, endpoint: str) -> None:
    """While no server is there, others judge a worker by its own process; it comes back in its own name."""
    with ipcq.connect(url) as behind, serving(url, endpoint) as first, Pipe(endpoint) as client:
        task_id = client.push("runs")
        worker = client.register_worker("worker")
        _next(client.poll(worker))
        kill(first)
        assert behind.resume_abandoned() == []  # it lives
        assert [each.id for each in behind.list_workers()] == ["worker"]
        with serving(url, endpoint):
            worker.close()
        assert behind.check_status([task_id]) == {task_id: Status.PENDING}


def _next(stream: TaskStream) -> Task[Any]:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        task = next(stream)
        if task is not None:
            return task
    raise AssertionError("no task came")


@pytest.mark.parametrize("many", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_value_whose_answer_was_lost(url: str, endpoint: str, many: bool) -> None:
    """The worker is not told that it lost a task that is DONE by it; a second end by itself is an error."""
    told: list[BaseException] = []
    with ipcq.connect(url) as behind, serving(url, endpoint, "FINISH") as first, Pipe(endpoint) as client:
        ids = client.push_bulk(range(3))
        lease = client.register_worker("worker")
        stream = client.poll(lease)
        tasks = [_next(stream) for _ in ids]

        def finish() -> None:
            try:
                lease.finish_many(tasks[:2], "ab") if many else lease.finish(tasks[0], "a")
            except BaseException as error:
                told.append(error)

        finishing = threading.Thread(target=finish)
        finishing.start()
        while behind.check_status(ids[:1]) != {ids[0]: Status.DONE}:
            assert not told
        kill(first)
        with serving(url, endpoint):
            finishing.join(PATIENCE)
            assert not finishing.is_alive()
            assert told == []
            lease.finish(tasks[2], "c")
            with pytest.raises(LeaseLost):
                lease.finish(tasks[0], "a")
            assert client.wait(ids[0], PATIENCE).unwrap() == "a"
            lease.close()


@pytest.mark.slow
@pytest.mark.parametrize("url", ["memory"], indirect=True)
def test_a_task_that_was_taken_away_meanwhile(url: str, endpoint: str) -> None:
    """It is lost, also where the same one is DONE by another worker."""
    with serving(url, endpoint) as first, Pipe(endpoint) as client, ipcq.connect(url) as behind:
        task_id = client.push("twice")
        lease = client.register_worker("worker")
        task = _next(client.poll(lease))
        kill(first)
        behind.reschedule(task_id, 0.0, force=True)
        with behind.register_worker("other") as other:
            other.finish(_next(behind.poll(other)), "theirs")
        with serving(url, endpoint), pytest.raises(LeaseLost):
            _finish_again(lease, task)
        assert behind.wait(task_id, PATIENCE).unwrap() == "theirs"


def _finish_again(lease: Any, task: Task[Any]) -> None:
    """As a worker whose first question was lost with the server."""
    lease.heartbeat()
    lease._ask(Verb.FINISH, [lease._held(task)], False, True, blobs=[b"\x01"])


def _run_out(worker: ipcq.Worker) -> None:
    with suppress(StorageError):
        worker.run()


@pytest.mark.slow
def test_a_worker_that_waits_for_a_server_can_be_ended(url: str, endpoint: str) -> None:
    """A stop leaves time for another server to come; a forced one does not."""
    with serving(url, endpoint) as server, Pipe(endpoint) as client:
        worker = ipcq.Worker("w", client, lambda _: kill(server))
        thread = threading.Thread(target=_run_out, args=(worker,))
        client.push(1)
        thread.start()
        server.wait(PATIENCE)
        worker.stop()
        thread.join(2 * LAST_PATIENCE)
        assert thread.is_alive()
        worker.force()
        thread.join(PATIENCE / 2)
        assert not thread.is_alive()


@pytest.mark.slow
def test_an_idle_worker_whose_server_is_gone_can_be_stopped(url: str, endpoint: str) -> None:
    """What it says at its end is not waited for for long."""
    looked = threading.Event()
    with serving(url, endpoint) as server, Pipe(endpoint) as client:
        worker = ipcq.Worker("w", client, print)
        worker.on_event(lambda event: looked.set() if isinstance(event, Idle) else None)
        thread = threading.Thread(target=_run_out, args=(worker,))
        thread.start()
        assert looked.wait(PATIENCE)
        kill(server)
        worker.stop()
        thread.join(PATIENCE / 2)
        assert not thread.is_alive()

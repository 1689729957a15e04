"""Workers that a server registers for other processes: judged by those."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ipcq import JsonStorage, MemoryStorage, Status
from ipcq.backends.liveness import Identity, own_identity
from ipcq.backends.pipe.wire import Encoded, Passing

_BACKENDS: dict[str, Callable[[Path], Any]] = {
    "Memory": lambda _: MemoryStorage("identities"),
    "Json": lambda directory: JsonStorage(directory / "identities.jsonl", fsync="never"),
}

backends = pytest.mark.parametrize("kind", _BACKENDS)


@contextmanager
def _opened(kind: str, directory: Path) -> Iterator[Any]:
    backend = _BACKENDS[kind](directory)
    try:
        yield backend
    finally:
        backend.destroy(force=True)


@contextmanager
def _another_process() -> Iterator[tuple[subprocess.Popen[str], Identity]]:
    code = (
        "import sys; from ipcq.backends.liveness import own_identity;"
        " print(*own_identity(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, Identity(*map(int, process.stdout.readline().split()))
        process.kill()


@backends
def test_a_worker_dies_with_the_process_it_is_judged_by(kind: str, private_directory: Path) -> None:
    """Its task is charged with a death when that process ends, and not before; this one lives on."""
    with _opened(kind, private_directory) as backend, _another_process() as (process, identity):
        task_id = backend.push(1)
        lease = backend.register_worker("far", identity=identity)
        assert next(backend.poll(lease)).id == task_id
        assert [worker.pid for worker in backend.list_workers()] == [process.pid]
        assert backend.resume_abandoned() == []
        process.kill()
        process.wait()
        assert backend.resume_abandoned() == [task_id]
        assert backend.fetch_by_id(task_id).deaths == 1
        lease.close()
        with backend.register_worker("far"):
            assert [worker.id for worker in backend.list_workers()] == ["far"]


@backends
def test_cancelling_kills_the_process_it_is_judged_by(kind: str, private_directory: Path) -> None:
    """``cancel(running=True)`` ends the process of the worker, not the one that registered it."""
    with _opened(kind, private_directory) as backend, _another_process() as (process, identity):
        task_id = backend.push(1)
        lease = backend.register_worker("far", identity=identity)
        next(backend.poll(lease))
        assert backend.cancel(task_id, running=True)
        assert process.wait(10) == -9
        assert backend.fetch_by_id(task_id).status is Status.KILLED
        lease.close()


@backends
def test_a_worker_of_another_identity_ends_its_tasks(kind: str, private_directory: Path) -> None:
    """What it finishes counts, and it leaves as any other."""
    with _opened(kind, private_directory) as backend, _another_process() as (_, identity):
        ids = backend.push_bulk([1, 2])
        with backend.register_worker("far", identity=identity) as lease:
            stream = backend.poll(lease)
            lease.finish(next(stream), "value")
            next(stream)
        assert backend.wait(ids[0], 10).unwrap() == "value"
        told = backend.fetch_by_id(ids[1])
        assert (told.status, told.deaths) == (Status.PENDING, 0)
        assert backend.list_workers() == []


@backends
def test_a_name_is_taken_as_long_as_that_process_lives(kind: str, private_directory: Path) -> None:
    """The row of a dead process can be taken by a live worker of this one, and stays its own."""
    with _opened(kind, private_directory) as backend:
        with _another_process() as (_, identity):
            far = backend.register_worker("far", identity=identity)
        with backend.register_worker("near") as near:
            far.close()
            task_id = backend.push(1)
            assert next(backend.poll(near)).id == task_id
            assert backend.resume_abandoned() == []
    assert identity != own_identity()


@backends
def test_a_reopened_handle_passes_payloads_on(kind: str, private_directory: Path) -> None:
    """What one who passes on pushes is what others read, and the other way round."""
    with _opened(kind, private_directory) as backend:
        passing = backend.reopened(Passing("msgpack"))
        backend.push({"a": 1})
        task = passing.list_tasks().items[0]
        assert type(task.args) is Encoded
        passing.push(task.args)
        assert [each.args for each in backend.list_tasks().items] == [{"a": 1}] * 2
        passing.close()

"""Workers as a test plays them: by hand, one step at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ipcq import ErrorInfo, Filter, Status, Task, TaskId, TaskResult

if TYPE_CHECKING:
    from ipcq import MemoryStorage
    from ipcq.backends.memory.leasing import MemoryLease
    from ipcq.backends.memory.streaming import MemoryStream

PATIENCE = 10.0  # seconds; only a test that fails waits so long

# Inline, arena and blob, and the edges between them.
SIZES = [0, 1, 104, 105, 4096, 4097, 256 << 10, (256 << 10) + 1, (3 << 20) + 5]

BOOM = ErrorInfo("ValueError", "boom", "Traceback: boom")


class Hands:
    """A registered worker and its stream."""

    def __init__(self, lease: MemoryLease, stream: MemoryStream) -> None:
        self.lease = lease
        self.stream = stream

    def take(self) -> Task[Any]:
        """The next task, which is RUNNING then."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            task = next(self.stream)
            if task is not None:
                return task
        raise AssertionError("no task came")

    def take_many(self, count: int) -> list[Task[Any]]:
        return [self.take() for _ in range(count)]

    def work(self, count: int, function: Callable[[Any], Any] = lambda args: args) -> list[Any]:
        """Run ``count`` tasks to DONE; their arguments in the order in which they came."""
        seen = []
        for _ in range(count):
            task = self.take()
            seen.append(task.args)
            self.lease.finish(task, function(task.args))
        return seen


@contextmanager
def worker(storage: MemoryStorage, name: str = "worker", *, prefetch: int = 1) -> Iterator[Hands]:
    """A registered worker that leaves at the end of the block."""
    with storage.register_worker(name) as lease:
        stream = storage.poll(lease, prefetch=prefetch)
        try:
            yield Hands(lease, stream)
        finally:
            stream.close()


def work(
    storage: MemoryStorage,
    count: int,
    function: Callable[[Any], Any] = lambda args: args,
    *,
    name: str = "worker",
) -> list[Any]:
    """Run ``count`` tasks to DONE with a worker that comes and goes; their arguments in order."""
    with worker(storage, name) as hands:
        return hands.work(count, function)


def total(storage: MemoryStorage, status: Status | None = None) -> int:
    """How many tasks of that status the queue lists."""
    return storage.list_tasks(filter=Filter(status=status)).total


def status(storage: MemoryStorage, task_id: TaskId) -> Status | None:
    """What became of one task; None if it is not there."""
    return storage.check_status([task_id]).get(task_id)


def fetched(storage: MemoryStorage, task_id: TaskId) -> Task[Any]:
    """The task, which must be there."""
    task = storage.fetch_by_id(task_id)
    assert task is not None
    return task


def error_of(result: TaskResult[Any]) -> ErrorInfo:
    """The error of a result, which must have one."""
    assert result.error is not None
    return result.error


def pattern(size: int) -> bytes:
    """Bytes of which no two neighbourhoods look alike."""
    return (b"".join(n.to_bytes(4, "big") for n in range(1 + size // 4)))[:size]


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread or process does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


class Rot13:
    """A codec that no program knows but this one."""

    name = "rot13"

    def encode(self, value: Any) -> bytes:
        return bytes((byte + 13) % 256 for byte in str(value).encode())

    def decode(self, data: bytes | memoryview) -> Any:
        return bytes((byte - 13) % 256 for byte in bytes(data)).decode()

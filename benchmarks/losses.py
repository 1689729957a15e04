"""Ways to have a task run whose worker will be killed."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import get_context
from typing import Any, Protocol

from ipcq import MemoryStorage, TaskId, Worker
from tasks import a_queue, working

__all__ = ["WAYS", "Way"]

_WORKERS = 2
_LIMIT = 60.0  # seconds for anything


def start(path: str) -> None:
    """The task: tell that it started, and run until the file is gone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(f"{os.getpid()} {time.monotonic()}".encode(), f"{path}.socket")
    while os.path.exists(path):
        time.sleep(0.001)


class Way(Protocol):
    """What is asked of each of them, in this order."""

    def prepare(self) -> None:
        """Have all workers ready."""
        ...

    def submit(self, path: str) -> None:
        """Have `start` run."""
        ...

    def notice(self, path: str) -> None:
        """What the caller has to do when the worker is dead: see it, and submit again."""
        ...

    def finish(self) -> None:
        """Wait for the result."""
        ...


class Queued:
    """ipcq; there is nothing for the caller to do."""

    def __init__(self, queue: MemoryStorage, workers: int) -> None:
        self._queue, self._workers = queue, workers
        self._id = TaskId.new()

    def prepare(self) -> None:
        until = time.monotonic() + _LIMIT
        while sum(worker.alive for worker in self._queue.list_workers()) < self._workers:
            assert time.monotonic() < until, "the workers did not start"
            time.sleep(0.01)

    def submit(self, path: str) -> None:
        self._id = self._queue.push(path)

    def notice(self, path: str) -> None:
        pass

    def finish(self) -> None:
        self._queue.wait(self._id, _LIMIT).unwrap()


class Unwatched(Queued):
    """ipcq; its workers are processes that nobody watches."""

    def __init__(self, queue: MemoryStorage) -> None:
        super().__init__(queue, _WORKERS)
        self._processes: list[Any] = []

    def prepare(self) -> None:
        self._processes = [process for process in self._processes if process.is_alive()]
        while len(self._processes) < _WORKERS:
            process = get_context("spawn").Process(target=work, args=(self._queue,), daemon=True)
            process.start()
            self._processes.append(process)
        super().prepare()

    def end(self) -> None:
        """Kill them."""
        for process in self._processes:
            process.kill()
            process.join()


def work(queue: MemoryStorage) -> None:
    with queue:
        Worker(None, queue, start).run()


class Pooled:
    """A pool whose tasks end with an exception when their worker dies."""

    def __init__(self, executor: Callable[[], Any], lost: type[Exception], submit: str = "submit") -> None:
        """
        Args:
            executor: returns one that can be used, a new one if need be.
            submit: the name of its method, which returns a future.
        """
        self._executor, self._lost, self._name = executor, lost, submit
        self._future: Future[None] = Future()

    def _submit(self, task: Callable[[str], object], path: str) -> Future[None]:
        method = getattr(self._executor(), self._name)
        future: Future[None] = method(task, args=(path,)) if self._name == "schedule" else method(task, path)
        return future

    def prepare(self) -> None:
        for future in [self._submit(os.path.exists, "") for _ in range(4 * _WORKERS)]:
            future.result(_LIMIT)

    def submit(self, path: str) -> None:
        self._future = self._submit(start, path)

    def notice(self, path: str) -> None:
        try:
            self._future.result(_LIMIT)
        except self._lost:
            self._future = self._submit(start, path)

    def finish(self) -> None:
        self._future.result(_LIMIT)


@contextmanager
def _monitored(workers: int) -> Iterator[Way]:
    with working(start, workers) as queue:
        yield Queued(queue, workers)


@contextmanager
def _unwatched() -> Iterator[Way]:
    with a_queue() as queue:
        way = Unwatched(queue)
        try:
            yield way
        finally:
            way.end()


class Renewed:
    """A ProcessPoolExecutor, made anew when it is broken."""

    def __init__(self) -> None:
        self.executor = self._make()

    def _make(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(_WORKERS, mp_context=get_context("forkserver"))

    def __call__(self) -> ProcessPoolExecutor:
        try:
            self.executor.submit(os.getpid)
        except BrokenExecutor:
            self.executor.shutdown()
            self.executor = self._make()
        return self.executor


@contextmanager
def _executor() -> Iterator[Way]:
    renewed = Renewed()
    try:
        yield Pooled(renewed, BrokenExecutor)
    finally:
        renewed.executor.shutdown(cancel_futures=True)


@contextmanager
def _loky() -> Iterator[Way]:
    from loky import get_reusable_executor

    try:
        yield Pooled(lambda: get_reusable_executor(_WORKERS), BrokenExecutor)
    finally:
        get_reusable_executor().shutdown(kill_workers=True)


@contextmanager
def _pebble() -> Iterator[Way]:
    from pebble import ProcessExpired, ProcessPool

    pool: Any = ProcessPool(_WORKERS, context=get_context("forkserver"))
    try:
        yield Pooled(lambda: pool, ProcessExpired, submit="schedule")
    finally:
        pool.stop()
        pool.join()


WAYS: dict[str, Callable[[], AbstractContextManager[Way]]] = {
    "ipcq": lambda: _monitored(_WORKERS),
    "ipcq, its only worker": lambda: _monitored(1),
    "ipcq, no Monitor": _unwatched,
    "ProcessPoolExecutor": _executor,
    "loky": _loky,
    "pebble": _pebble,
}

"""Fixtures for tests of programs that use ipcq: `ipcq_queue`, `ipcq_worker`, `kill_worker`.

A module of its own that imports nothing of ipcq before a test asks for it: pytest imports it for every run of
every project in whose environment ipcq is installed, and imports under measurement of coverage come too late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ipcq import MemoryStorage, RunningWorker
    from ipcq.testing import TestWorker


@pytest.fixture
def ipcq_queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryStorage]:
    """An empty queue of this test's own; the test fails if a worker or a handle of it outlives the test."""
    from ipcq.testing.fixtures import Leaked, fresh_queue

    try:
        with fresh_queue(lambda directory: monkeypatch.setenv("IPCQ_DIR", directory)) as queue:
            yield queue
    except Leaked as leaked:
        pytest.fail(str(leaked), pytrace=False)


@pytest.fixture
def ipcq_worker(ipcq_queue: MemoryStorage) -> Callable[..., TestWorker]:
    """Makes workers of `ipcq_queue`: ``ipcq_worker(handler, layers=..., clock=...)``, see `TestWorker`."""
    from ipcq.testing import TestWorker

    def make(handler: Any, *, backend: Any = None, **options: Any) -> TestWorker:
        return TestWorker(ipcq_queue if backend is None else backend, handler, **options)

    return make


@pytest.fixture
def kill_worker(ipcq_queue: MemoryStorage) -> Callable[..., RunningWorker]:
    """Kills a worker process of `ipcq_queue`: by its id, or the first one that runs a task."""
    from ipcq.testing import kill_worker

    def kill(worker: str | int | None = None, *, backend: Any = None, **options: Any) -> RunningWorker:
        return kill_worker(ipcq_queue if backend is None else backend, worker, **options)

    return kill

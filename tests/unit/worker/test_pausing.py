"""A worker that takes no tasks for a while."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ipcq import JsonStorage, MemoryStorage, Task, Worker, WorkerRequest
from ipcq.worker import WorkerState
from ipcq.worker.pausing import Pause

from .fakes import FakeBackend


class Guided:
    """A worker in a thread whose pauses the test sees."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, backend: Any, handler: Callable[[Any], Any]) -> None:
        paused = self.paused = threading.Event()  # the patch outlives the queue: it holds no more than this
        wait = Pause.wait

        def waiting(pause: Pause) -> None:
            paused.set()
            wait(pause)

        monkeypatch.setattr(Pause, "wait", waiting)
        self.worker = Worker("w", backend, handler, prefetch=2)
        self.thread = threading.Thread(target=self.worker.run)

    def __enter__(self) -> Guided:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()


def test_a_pause_lets_go_of_what_is_held(monkeypatch: pytest.MonkeyPatch, queue: MemoryStorage) -> None:
    """What runs is finished, what was only held goes back; nothing is taken until the pause is over."""
    begun, go_on = threading.Event(), threading.Event()

    def handler(number: int) -> int:
        begun.set()
        assert go_on.wait(10)
        return number

    first, second = queue.push_bulk([1, 2])
    with Guided(monkeypatch, queue, handler) as guided:
        assert begun.wait(10)
        guided.worker.pause()
        assert guided.worker.state.name == "PAUSED"
        go_on.set()
        assert guided.paused.wait(10)
        assert queue.wait(first, 10).value == 1
        with queue.register_worker("other") as lease:
            task = next(queue.poll(lease))
            assert task is not None
            assert task.id == second  # others can have it
            assert lease.give_back(task)

        guided.worker.resume()
        assert queue.wait(second, 10).value == 2
        assert guided.worker.state.name == "RUNNING"
    assert guided.worker.state.name == "STOPPED"


@pytest.mark.slow
def test_a_pause_can_be_asked_for_from_outside(
    monkeypatch: pytest.MonkeyPatch, queue: MemoryStorage, tmp_path: Any
) -> None:
    """By the worker's id, through its queue; so can a stop."""
    with JsonStorage(tmp_path / "tasks.jsonl") as store:
        for backend in (queue, store):
            with Guided(monkeypatch, backend, lambda args: args) as guided:
                assert backend.wait(backend.push(1), 10).value == 1
                assert backend.ask_worker("w", WorkerRequest.PAUSE)
                assert guided.paused.wait(10)
                assert [row.state for row in backend.list_workers()] == ["PAUSED"]
                task_id = backend.push(2)
                assert backend.ask_worker("w", WorkerRequest.RUN)
                assert backend.wait(task_id, 10).value == 2
                assert backend.ask_worker("w", WorkerRequest.STOP)
                guided.thread.join(10)
                assert not guided.thread.is_alive()
                assert not backend.ask_worker("w", WorkerRequest.PAUSE)


def test_a_signal_ends_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the main thread, which waits then."""
    backend = FakeBackend([1])
    worker = Worker("w", backend, lambda _: worker.pause())
    monkeypatch.setattr(Pause, "wait", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    worker.run()
    assert worker.state is WorkerState.STOPPED
    assert worker.tasks == 1


def test_a_short_pause_is_no_end() -> None:
    """A run until the queue is empty does not take for empty what only was woken."""
    backend = FakeBackend([1])

    def handler(number: int) -> None:
        if number == 1:
            worker.pause()  # wakes the stream, which says None next
            worker.resume()
            backend.tasks.put(Task.of(2))

    worker = Worker("w", backend, handler)
    worker.run(until_empty=True)
    assert worker.tasks == 2


def test_a_stream_that_ends_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a source that is used up; it is not asked for again."""
    backend = FakeBackend([1])
    monkeypatch.setattr(FakeBackend.stream, "__iter__", lambda stream: iter([next(stream)]))
    worker = Worker("w", backend, lambda args: args)
    worker.run()
    assert worker.tasks == 1
    assert [entry for entry in backend.log if entry[0] == "poll"] == [("poll", 1)]


def test_paused_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits at once."""
    backend = FakeBackend([1])
    worker = Worker("w", backend, lambda args: args)
    worker.pause()
    monkeypatch.setattr(Pause, "wait", lambda _: worker.resume())
    worker.run(until_empty=True)
    assert worker.tasks == 1
    assert "Pause" in repr(Pause())

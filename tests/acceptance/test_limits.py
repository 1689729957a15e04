"""Runs that are ended: by time, by memory; and workers that are replaced."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipcq import (
    JsonStorage,
    Limits,
    MemoryExceeded,
    Monitor,
    Pipe,
    Status,
    TaskFailed,
    TaskResult,
    TaskTimeout,
)
from ipcq.limits.kin import descendants

from . import stuck

if TYPE_CHECKING:
    from ipcq import MemoryStorage

LEEWAY = 1.0  # seconds after its timeout in which a run has to be ended
TIMEOUT = 0.4


@pytest.fixture
def undisturbed(tmp_path: Path) -> Callable[[Any], tuple[Any, Callable[[], str]]]:
    """Pushes a task that runs until told; its id, and what tells it and gives its value."""

    def start(backend: Any) -> tuple[Any, Callable[[], str]]:
        go = tmp_path / "go"
        task_id = backend.push(str(go))

        def end() -> str:
            go.touch()
            value: str = backend.wait(task_id, 10).unwrap()
            return value

        return task_id, end

    return start


def _check_all(backend: Any, undisturbed: Any, **options: Any) -> dict[str, TaskResult[Any]]:
    """Run all cases side by side, with a task that has time."""
    with Monitor(backend, stuck.run, workers=len(stuck.CASES) + 1, **options) as monitor:
        quick = [backend.push("") for _ in range(50)]
        for result in backend.wait_for(quick, 30):
            result.unwrap()
        other, end = undisturbed(backend)
        began = time.monotonic()
        ids = {backend.push(case, run_timeout=TIMEOUT): case for case in stuck.CASES}
        results = {ids[result.task_id]: result for result in backend.wait_for(ids, TIMEOUT + LEEWAY)}
        assert time.monotonic() - began < TIMEOUT + LEEWAY
        assert end() in {str(pid) for pid in monitor.workers}, "the other task has its first process"
        assert backend.fetch_by_id(other).deaths == 0
        _expect_nothing_left(monitor)
    return results


def _deaths(backend: Any, task_id: Any) -> int:
    deaths: int = backend.fetch_by_id(task_id).deaths
    return deaths


def _expect_nothing_left(monitor: Monitor) -> None:
    """No worker has children; the orphans of dead ones are looked for by the fixture of every test."""
    until = time.monotonic() + 5
    while any(descendants(pid) for pid in monitor.workers) and time.monotonic() < until:
        time.sleep(0.01)
    assert [pid for pid in monitor.workers if descendants(pid)] == []


def test_runs_that_are_stuck_are_ended(queue: MemoryStorage, undisturbed: Any) -> None:
    """In whatever way, within their timeout and a second; with a traceback, and no process left."""
    results = _check_all(queue, undisturbed)

    for case, result in results.items():
        assert result.status is Status.KILLED, case
        with pytest.raises(TaskFailed) as failed:
            result.unwrap()
        assert isinstance(failed.value.__cause__, TaskTimeout), case
        assert result.error is not None
        assert "0.4 s" in result.error.message
        assert "stuck.py" in result.error.traceback, case
    assert "_hold_the_gil" in str(results["gil"].error and results["gil"].error.traceback)
    killed = {case for case, result in results.items() if "killed" in str(result.error)}
    assert killed == {"gil", "ignore", "swallow", "stubborn children"}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_however_workers_are_started(queue: MemoryStorage, undisturbed: Any, method: str) -> None:
    """Forked and spawned ones are ended, too."""
    _check_all(queue, undisturbed, start_method=method)


def test_a_coroutine_that_takes_too_long_is_cancelled(queue: MemoryStorage, undisturbed: Any) -> None:
    """By its loop, at no cost to the others, whose process stays."""
    with Monitor(queue, stuck.wait_in_loop, workers=1, concurrency=4) as monitor:
        other, end = undisturbed(queue)
        began = time.monotonic()
        result = queue.wait(queue.push("never", run_timeout=TIMEOUT), TIMEOUT + 10)
        assert time.monotonic() - began >= TIMEOUT
        assert result.error is not None
        assert "TaskTimeout" in result.error.type
        assert "stuck.py" in result.error.traceback
        assert end() == str(monitor.workers[0])
        assert _deaths(queue, other) == 0


@pytest.mark.slow
def test_a_coroutine_that_cannot_be_cancelled_ends_its_process(
    queue: MemoryStorage, undisturbed: Any
) -> None:
    """What it swallows, the Monitor does not; what runs beside it is run again, and charged nothing."""
    with Monitor(queue, stuck.wait_in_loop, workers=1, concurrency=4) as monitor:
        other, end = undisturbed(queue)
        before = monitor.workers
        result = queue.wait(queue.push("swallow", run_timeout=TIMEOUT), 20)
        assert result.error is not None
        assert "TaskTimeout" in result.error.type
        until = time.monotonic() + 20
        while set(before) & set(monitor.workers) and time.monotonic() < until:
            time.sleep(0.01)
        assert end() not in map(str, before)
        assert _deaths(queue, other) == 0


@pytest.mark.slow
def test_a_coroutine_that_blocks_its_loop_ends_its_process(queue: MemoryStorage) -> None:
    """Its loop cannot cancel it; within a second more its process is ended."""
    with Monitor(queue, stuck.wait_in_loop, workers=1, concurrency=4):
        result = queue.wait(queue.push("block", run_timeout=TIMEOUT), 20)
        assert result.error is not None
        assert "TaskTimeout" in result.error.type
        assert "stuck.py" in result.error.traceback


@pytest.mark.slow
def test_in_a_file(tmp_path: Path, undisturbed: Any) -> None:
    """Runs of tasks in a `JsonStorage` are ended, too."""
    with JsonStorage(tmp_path / "queue.jsonl") as storage:
        _check_all(storage, undisturbed)


@pytest.mark.slow
def test_behind_a_socket(queue: MemoryStorage, tmp_path: Path, undisturbed: Any) -> None:
    """Runs of tasks that came through a `Pipe` are ended, too."""
    endpoint = f"ipc://{tmp_path}/socket"
    with Pipe.serve(queue, endpoint), Pipe(endpoint) as pipe:
        _check_all(pipe, undisturbed)


@pytest.mark.slow
def test_a_run_that_was_ended_is_tried_again(queue: MemoryStorage) -> None:
    """With an attempt left the task is FAILED, then run again by a new process; no death is charged."""
    with Monitor(queue, stuck.run, workers=1, limits=Limits(timeout=0.1, grace=0.05)):
        task_id = queue.push("gil", max_attempts=2)
        result = queue.wait(task_id, 10)

    task = queue.fetch_by_id(task_id)
    assert task is not None
    assert (result.status, task.attempts, task.deaths) == (Status.KILLED, 2, 0)


@pytest.mark.slow
def test_a_run_that_takes_too_much_memory_is_ended(queue: MemoryStorage) -> None:
    """Its error tells how much there was, and how much is allowed can be raised."""
    with Monitor(queue, stuck.run, workers=1, limits=Limits(memory=150_000_000)):
        result = queue.wait(queue.push("eat 300"), 10)
        assert queue.wait(queue.push("eat 1"), 10).status is Status.DONE

    with pytest.raises(TaskFailed) as failed:
        result.unwrap()
    assert isinstance(failed.value.__cause__, MemoryExceeded)


@pytest.mark.slow
@pytest.mark.parametrize("limits", [Limits(recycle_memory=1), Limits(recycle_idle=0.01)])
def test_workers_are_replaced(queue: MemoryStorage, limits: Limits) -> None:
    """One that has grown large, or has had nothing to do for long, gives way to another process."""
    with Monitor(queue, stuck.run, workers=1, limits=limits) as monitor:
        before = int(queue.wait(queue.push(""), 10).unwrap())
        until = time.monotonic() + 10
        while monitor.workers in ([before], []) and time.monotonic() < until:
            time.sleep(0.001)
        assert int(queue.wait(queue.push(""), 10).unwrap()) != before
        assert os.getpid() not in monitor.workers

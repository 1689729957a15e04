"""Tasks that end the process that runs them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipcq import Monitor, Status, TaskFailed, TaskResult, WorkerDied
from tests.unit.memory.acting import error_of, status, until

from .aftermath import check_empty
from .diary import Diary
from .handlers import end_badly, hold_in_loop, never_in_loop

if TYPE_CHECKING:
    from tests.conftest import MakeQueue

PATIENCE = 60.0

ENDS = [
    ("SIGKILL", signal.SIGKILL, None, "SIGKILL"),
    ("segfault", signal.SIGSEGV, None, "SIGSEGV"),
    ("exit 3", None, 3, "exit code 3"),
]


@pytest.mark.slow
def test_a_task_that_ends_its_workers_is_given_up(make_queue: MakeQueue) -> None:
    """After max_deaths + 1 deaths it is KILLED, with pid, signal or exit code, and memory; others go on."""
    storage = make_queue()
    with Monitor(storage, end_badly, workers=2):
        tasks, results = [], []
        for how, *_ in ENDS:
            fatal = storage.push(how, max_deaths=1)
            ids = storage.push_bulk([f"task {n}" for n in range(50)])
            values = [storage.wait(task_id, PATIENCE).unwrap() for task_id in ids]
            assert values == [f"task {n}" for n in range(50)]
            results.append(storage.wait(fatal, PATIENCE))
            tasks.append(storage.fetch_by_id(fatal))
    for result, task, (_, number, exitcode, told) in zip(results, tasks, ENDS, strict=True):
        assert result.status is Status.KILLED
        assert task is not None
        assert (task.deaths, task.attempts) == (2, 0)
        died = _death(result)
        assert told in str(died)
        assert died.pid > 0
        assert died.rss > 1 << 20
        assert (died.signal, died.exitcode) == (number, exitcode)
        print(f"\n{died}")
    check_empty(storage)


def test_a_cancelled_task_ends_with_its_worker(make_queue: MakeQueue) -> None:
    """The Monitor replaces the process, and what that held behind the task is run, nothing charged."""
    storage = make_queue()
    with Monitor(storage, end_badly, workers=1, prefetch=8) as monitor:
        stuck, *others = storage.push_bulk(["stay", *(f"task {n}" for n in range(20))])
        until(lambda: status(storage, stuck) is Status.RUNNING)
        before = monitor.workers
        assert storage.cancel(stuck, running=True)
        assert [storage.wait(task_id, PATIENCE).unwrap() for task_id in others] == [
            f"task {n}" for n in range(20)
        ]
        assert set(monitor.workers).isdisjoint(before)
        tasks = [storage.fetch_by_id(task_id) for task_id in (stuck, *others)]
        assert [(task.deaths, task.attempts) for task in tasks if task] == [(0, 0), *[(0, 1)] * 20]
        assert error_of(storage.wait(stuck, 0)).type == "Cancelled"
    check_empty(storage)


def test_all_coroutines_of_a_killed_worker_run_again(make_queue: MakeQueue, tmp_path: Path) -> None:
    """20 of them at once, each charged with one death, in the process that takes its place."""
    storage = make_queue()
    diary = tmp_path / "diary"
    with Monitor(storage, hold_in_loop, workers=1, concurrency=20) as monitor:
        ids = storage.push_bulk([[str(diary), number] for number in range(20)])
        until(lambda: len(Diary(diary).runs()) == 20)
        (before,) = monitor.workers
        os.kill(before, signal.SIGKILL)
        pids = {storage.wait(task_id, PATIENCE).unwrap() for task_id in ids}
        assert pids == set(monitor.workers) != {before}
        tasks = [storage.fetch_by_id(task_id) for task_id in ids]
        assert [(task.deaths, task.attempts) for task in tasks if task] == [(1, 1)] * 20
    check_empty(storage)


@pytest.mark.slow
def test_coroutines_of_a_worker_that_is_forced_go_back(make_queue: MakeQueue, tmp_path: Path) -> None:
    """Those that can be cancelled and those that cannot, and what was held ahead; nothing is charged."""
    storage = make_queue()
    diary = Diary(tmp_path / "diary")
    tasks = [[diary.path, number, number % 2] for number in range(30)]
    with Monitor(storage, never_in_loop, workers=1, concurrency=20, prefetch=25) as monitor:
        ids = storage.push_bulk(tasks)
        until(lambda: len(diary.runs()) == 20)
        began = time.monotonic()
        monitor.stop(timeout=0.1)
        assert time.monotonic() - began < PATIENCE / 2
    after = [storage.fetch_by_id(task_id) for task_id in ids]
    told = [(task.status, task.deaths, task.attempts) for task in after if task]
    assert told == [(Status.PENDING, 0, 0)] * 30
    assert all(storage.cancel(task_id) for task_id in ids)
    check_empty(storage)


def _death(result: TaskResult[Any]) -> WorkerDied:
    """How the last worker of a task ended."""
    with pytest.raises(TaskFailed) as caught:
        result.unwrap()
    died = caught.value.__cause__
    assert isinstance(died, WorkerDied)
    return died

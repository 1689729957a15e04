"""How soon the task of a killed worker runs again, in another one that has nothing to do."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipcq import MemoryStorage, Monitor, Worker
from tests.unit.memory.children import Child, Line, child

from .aftermath import await_workers, check_empty
from .diary import Diary
from .handlers import hold

if TYPE_CHECKING:
    from tests.conftest import MakeQueue

PATIENCE = 30.0


def _takeover(storage: MemoryStorage, diary: Diary, number: int, kill: Callable[[int], object]) -> float:
    """Seconds from the kill of the worker that runs a task until the other one runs it."""
    await_workers(storage, 2)
    task_id = storage.push([diary.path, number])
    first = diary.await_run(number)
    killed = time.monotonic()
    kill(first.pid)
    second = diary.await_run(number, 2)
    assert storage.wait(task_id, PATIENCE).unwrap() == second.pid != first.pid
    return second.began - killed


@pytest.mark.slow
def test_a_monitor_returns_the_task_at_once(make_queue: MakeQueue, tmp_path: Path) -> None:
    """Under a Monitor a killed worker's task runs in another within 50 ms, in the middle of 7 kills."""
    storage, diary = make_queue(), Diary(tmp_path / "diary")
    with Monitor(storage, hold, workers=2):
        took = [_takeover(storage, diary, n, lambda pid: os.kill(pid, signal.SIGKILL)) for n in range(7)]
    check_empty(storage)
    print(f"\nunder a Monitor: median {statistics.median(took) * 1e3:.1f} ms, max {max(took) * 1e3:.1f} ms")
    assert statistics.median(took) <= 0.05


@pytest.mark.slow
def test_other_workers_take_the_task_in_time(make_queue: MakeQueue, tmp_path: Path) -> None:
    """Without a Monitor another worker notices the death and runs the task, within 1.5 s each of 20 times."""
    storage, diary = make_queue(), Diary(tmp_path / "diary")

    def run(_: Line) -> None:
        with MemoryStorage(storage.queue, create=False) as own:
            Worker(None, own, hold).run()

    with ExitStack() as stack:
        workers: dict[int, Child] = {}

        def start() -> None:
            process = stack.enter_context(child(run))
            workers[process.pid] = process

        def kill(pid: int) -> None:
            workers.pop(pid).kill()

        took = []
        start()
        for number in range(20):
            start()
            took.append(_takeover(storage, diary, number, kill))
    check_empty(storage)
    print(f"\nwithout a Monitor: median {statistics.median(took):.2f} s, max {max(took):.2f} s of 20 kills")
    assert max(took) <= 1.5

"""Tasks that end the process that runs them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from ipcq import Monitor, Status, TaskFailed, TaskResult, WorkerDied

from .aftermath import check_empty
from .handlers import end_badly

if TYPE_CHECKING:
    from tests.conftest import MakeQueue

PATIENCE = 60.0

ENDS = [
    ("SIGKILL", signal.SIGKILL, None, "SIGKILL"),
    ("segfault", signal.SIGSEGV, None, "SIGSEGV"),
    ("exit 3", None, 3, "exit code 3"),
]


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


def _death(result: TaskResult[Any]) -> WorkerDied:
    """How the last worker of a task ended."""
    with pytest.raises(TaskFailed) as caught:
        result.unwrap()
    died = caught.value.__cause__
    assert isinstance(died, WorkerDied)
    return died

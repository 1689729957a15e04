"""Tasks that end the process that runs them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from ipcq import Monitor, Status, TaskFailed, WorkerDied

from .aftermath import check_empty
from .handlers import end_badly

if TYPE_CHECKING:
    from tests.conftest import MakeQueue

PATIENCE = 60.0

ENDS = [
    pytest.param("SIGKILL", signal.SIGKILL, None, "SIGKILL", id="SIGKILL"),
    pytest.param("segfault", signal.SIGSEGV, None, "SIGSEGV", id="segfault"),
    pytest.param("exit 3", None, 3, "exit code 3", id="exit"),
]


@pytest.mark.parametrize(("how", "number", "exitcode", "told"), ENDS)
def test_a_task_that_ends_its_workers_is_given_up(
    make_queue: MakeQueue, how: str, number: int | None, exitcode: int | None, told: str
) -> None:
    """After max_deaths + 1 deaths it is KILLED, with pid, signal or exit code, and memory; others go on."""
    storage = make_queue()
    with Monitor(storage, end_badly, workers=2):
        fatal = storage.push(how, max_deaths=1)
        ids = storage.push_bulk([f"task {n}" for n in range(50)])
        values = [storage.wait(task_id, PATIENCE).unwrap() for task_id in ids]
        result = storage.wait(fatal, PATIENCE)
        task = storage.fetch_by_id(fatal)
    assert values == [f"task {n}" for n in range(50)]
    assert result.status is Status.KILLED
    assert task is not None
    assert (task.deaths, task.attempts) == (2, 0)
    with pytest.raises(TaskFailed) as caught:
        result.unwrap()
    died = caught.value.__cause__
    assert isinstance(died, WorkerDied)
    assert told in str(died)
    assert died.pid > 0
    assert died.rss > 1 << 20
    assert (died.signal, died.exitcode) == (number, exitcode)
    print(f"\n{died}")
    check_empty(storage)

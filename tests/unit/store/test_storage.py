"""A queue in a store: what goes in comes out, in order, once."""

from __future__ import annotations

import pytest

from ipcq import CustomBackend, QueueClosed, Worker

from .stores import DictStore


def test_tasks_are_pushed_run_and_waited_for() -> None:
    """Tasks of a higher priority come first, and each result is handed out once."""
    with CustomBackend(store=DictStore()) as queue:
        late = queue.push_bulk([1, 2])
        early = queue.push(3, priority=1)
        Worker("w", queue, lambda number: number * 10, prefetch=2).run(until_empty=True)
        results = [(result.task_id, result.unwrap()) for result in queue.wait_for([*late, early], 10)]
        assert results == [(early, 30), (late[0], 10), (late[1], 20)]
        assert "3 done" in repr(queue)
    with pytest.raises(QueueClosed):
        queue.push(1)

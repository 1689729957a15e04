"""How far runs are, in a store: few writes, and none that hurts the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ipcq import CustomBackend, LeaseLost, Progress, Status, Task, Write

from .stores import DictStore


class Counting(DictStore):
    """Counts its writes; calls ``before`` each."""

    writes = 0
    before: Any = None

    def compare_and_set(self, writes: Sequence[Write]) -> list[int] | None:
        self.writes += 1
        before, self.before = self.before, None
        if before is not None:
            before()
        return super().compare_and_set(writes)


def _running(queue: Any, lease: Any) -> Task[Any]:
    task: Task[Any] | None = next(queue.poll(lease))
    assert task is not None
    return task


def test_ten_thousand_calls_are_few_writes() -> None:
    """What was told last is stored by the heartbeat, of all tasks in one write."""
    store = Counting()
    with CustomBackend(store=store) as queue, queue.register_worker("w") as lease:
        ids = queue.push_bulk([1, 2])
        tasks = [_running(queue, lease), _running(queue, lease)]
        before = store.writes
        for n in range(10_000):
            for task in tasks:
                lease.progress(task, Progress(n))
        assert store.writes - before < 100
        lease.heartbeat()
        assert [found.progress for i in ids if (found := queue.fetch_by_id(i))] == [Progress(9_999)] * 2
        before = store.writes
        lease.heartbeat()
        assert store.writes == before
        for task in tasks:
            lease.finish(task, "done")
        assert [queue.wait(i, 10).value for i in ids] == ["done"] * 2


def test_a_run_that_ends_meanwhile_has_ended() -> None:
    """The heartbeat that tells of it is too late, and what another task told is stored all the same."""
    store = Counting()
    with CustomBackend(store=store) as queue, queue.register_worker("w") as lease:
        queue.push_bulk([1, 2])
        first, second = _running(queue, lease), _running(queue, lease)
        for task in (first, second):
            for n in range(2):
                lease.progress(task, Progress(n))
        store.before = lambda: lease.finish(first, "done")
        lease.heartbeat()
        found = [queue.fetch_by_id(task.id) for task in (first, second)]
        assert [(task.status, task.progress) for task in found if task is not None] == [
            (Status.DONE, None),
            (Status.RUNNING, Progress(1)),
        ]
        assert lease.held(first.id) is None
        lease.finish(second, "done")
        assert lease.held(second.id) is None


def test_a_run_ends_though_what_it_told_is_stored_meanwhile() -> None:
    """Its end is tried once more on the record that is there then."""
    store = Counting()
    with CustomBackend(store=store) as queue, queue.register_worker("w") as lease:
        queue.push(1)
        task = _running(queue, lease)
        for n in range(2):
            lease.progress(task, Progress(n))
        store.before = lease.heartbeat
        lease.finish(task, "done")
        assert queue.wait(task.id, 10).value == "done"
        assert lease.held(task.id) is None


def test_a_run_that_was_taken_away_tells_nothing() -> None:
    """Not of the next run, which the same worker may have, either."""
    with CustomBackend(store=DictStore()) as queue, queue.register_worker("w") as lease:
        queue.push(1)
        old = _running(queue, lease)
        lease.progress(old, Progress(1))
        queue.reschedule(old.id, 0, force=True)
        lease.progress(old, Progress(2))
        new = _running(queue, lease)
        lease.heartbeat()
        lease.progress(old, Progress(3))
        lease.heartbeat()
        found = queue.fetch_by_id(new.id)
        assert found is not None
        assert (found.status, found.progress) == (Status.RUNNING, None)
        with pytest.raises(LeaseLost):
            lease.finish(old, "old")
        lease.finish(new, "new")
        assert queue.wait(new.id, 10).value == "new"

"""Runs that begin no faster than a rate."""

from __future__ import annotations

import pickle
import time
from types import SimpleNamespace
from typing import Any

import pytest

from ipcq import CustomBackend, MemoryStorage, NotSupported, Status, Task, Worker
from ipcq.layer import ForcedStop
from ipcq.layers import RateLimit
from ipcq.testing import FakeClock

RUNNING, ENDING = SimpleNamespace(stopping=False), SimpleNamespace(stopping=True)


def test_runs_wait_for_their_turn() -> None:
    """A burst begins at once, then one at a time; the wait is in short steps."""
    clock = FakeClock(100)
    slept: list[float] = []
    clock.on_advance(slept.append)
    layer = RateLimit(2, burst=2, clock=clock, sleep=clock.sleep)
    begun = [layer(Task.of(1), RUNNING, lambda *_: clock() - 100) for _ in range(4)]
    assert begun == pytest.approx([0, 0, 0.5, 1])
    assert 0 < max(slept) <= 0.1


def test_a_worker_that_is_to_end_gives_the_task_back(queue: MemoryStorage) -> None:
    """It does not wait to the end, and the task is charged nothing."""
    clock = FakeClock(100)
    layer = RateLimit(0.001, clock=clock, sleep=clock.sleep)
    ids = queue.push_bulk([1, 2])
    done: list[int] = []
    worker = Worker("worker", queue, done.append, layers=[layer])
    clock.on_advance(lambda _: worker.stop())
    worker.run()
    assert (done, clock()) == ([1], 100.1)
    task = queue.fetch_by_id(ids[1])
    assert task is not None
    assert (task.status, task.attempts, task.deaths) == (Status.PENDING, 0, 0)


@pytest.mark.parametrize("options", [{"per_second": 0}, {"per_second": float("nan")}, {"burst": 0}])
def test_numbers_out_of_bounds(options: dict[str, Any]) -> None:
    """They are refused, and named."""
    with pytest.raises(ValueError, match=next(iter(options))):
        RateLimit(**{"per_second": 1, **options})


def test_a_copy_begins_anew() -> None:
    """A Monitor hands layers to its workers: each has its own limit."""
    layer = RateLimit(0.001)
    layer(Task.of(1), RUNNING, lambda *_: None)
    copy = pickle.loads(pickle.dumps(layer))
    assert copy(Task.of(1), RUNNING, lambda *_: "at once") == "at once"
    assert repr(copy) == repr(layer) == "<RateLimit 0.001 per second, 1 at once, per process>"


def test_all_who_have_a_queue_keep_its_limit_together(queue: MemoryStorage) -> None:
    """What one takes the others, with handles and copies of their own, do not get; names are apart."""
    layer = RateLimit(20, burst=2, per=queue)
    function, arguments = layer.__reduce__()
    with MemoryStorage(str(queue.queue), create=False) as handle:
        layers = [layer, RateLimit(20, burst=2, per=handle), function(*arguments), layer]
        start = time.monotonic()
        for each in layers:
            each(Task.of(1), RUNNING, lambda *_: None)
        assert time.monotonic() - start > 0.099
        other = RateLimit(0.001, per=handle, name="other")
        assert other(Task.of(1), RUNNING, lambda *_: "at once") == "at once"
    assert repr(queue) in repr(layer)


def test_a_copy_has_the_limit_of_the_same_queue(queue: MemoryStorage) -> None:
    """A Monitor's workers have handles of their own."""
    layer = RateLimit(0.001, per=queue, name="few")
    copy = pickle.loads(pickle.dumps(layer))
    layer(Task.of(1), RUNNING, lambda *_: None)
    assert repr(copy) == repr(layer)
    with pytest.raises(ForcedStop):
        copy(Task.of(1), ENDING, lambda *_: None)
    copy._per.close()


def test_a_backend_without_limits() -> None:
    """It is refused when the layer is made, not by each run."""
    with pytest.raises(NotSupported, match="ShareLimits"):
        RateLimit(1, per=CustomBackend(fetch=lambda: None))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a/b"])
def test_a_name_that_cannot_be(name: str) -> None:
    """It is refused when the layer is made."""
    with pytest.raises(ValueError, match="limit's name"):
        RateLimit(1, name=name)

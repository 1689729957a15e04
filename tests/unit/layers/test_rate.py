"""Runs that begin no faster than a rate."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq import CustomBackend, MemoryStorage, NotSupported, Status, Task, Worker
from ipcq.layers import RateLimit
from ipcq.layers.gcra import Gcra
from ipcq.testing import FakeClock

RUNNING = SimpleNamespace(stopping=False)


@given(
    rate=st.floats(0.1, 100),
    burst=st.integers(1, 5),
    gaps=st.lists(st.floats(0, 20), min_size=1, max_size=30),
)
def test_no_stretch_of_time_has_too_many(rate: float, burst: int, gaps: list[float]) -> None:
    """Between any two there are as many as the rate allows, and the burst; none waits in vain."""
    gcra, now, planned, begun = Gcra(rate, burst), 0, 0, list[float]()
    for gap in gaps:
        now += round(gap * 1e9)
        while not (turn := gcra.turn(planned, now)).taken:
            assert turn.planned == planned
            now += turn.wait
        planned = turn.planned
        now += turn.wait
        begun.append(now / 1e9)
        before = begun[max(0, len(begun) - 1 - burst)]
        assert turn.wait == 0 or begun[-1] - before <= burst / rate + 1e-6
    for first, start in enumerate(begun):
        for last in range(first, len(begun)):
            assert last - first + 1 <= burst + (begun[last] - start) * rate + 1e-6


def test_a_clock_that_began_anew() -> None:
    """After a reboot what was remembered is of no use, and keeps nobody waiting."""
    assert Gcra(1, 3).turn(10**18, now=5) == (True, 0, 5 + 10**9)


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


def test_processes_keep_the_limit_of_a_queue_together(queue: MemoryStorage) -> None:
    """What one takes the others, with handles and copies of their own, do not get; it goes with the queue."""
    clock = FakeClock(100)
    layer = RateLimit(1, burst=2, per=queue, clock=clock, sleep=clock.sleep)
    function, arguments = layer.__reduce__()
    with MemoryStorage(str(queue.queue), create=False) as handle:
        other = RateLimit(1, burst=2, per=handle, clock=clock, sleep=clock.sleep)
        layers = [layer, other, function(*arguments), layer]
        begun = [each(Task.of(1), RUNNING, lambda *_: clock() - 100) for each in layers]
    assert begun == pytest.approx([0, 0, 1, 2])
    assert repr(queue) in repr(layer)
    copy = pickle.loads(pickle.dumps(RateLimit(1, per=queue)))
    assert repr(copy) == repr(layer).replace("2 at once", "1 at once")
    copy._numbers.close()


def test_a_backend_without_numbers() -> None:
    """It is refused when the layer is made, not by each run."""
    with pytest.raises(NotSupported, match="per="):
        RateLimit(1, per=CustomBackend(fetch=lambda: None))  # type: ignore[arg-type]

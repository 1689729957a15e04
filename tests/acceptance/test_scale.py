"""What one task costs, whether few or many are waiting."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from ipcq import MemoryStorage

if TYPE_CHECKING:
    from tests.conftest import MakeQueue

FEW, MANY = 1_000, 100_000
ROUNDS = 10  # the best of them counts: whatever else runs here can only add
TASKS = 300  # pushed, and then taken and finished, in each round


def _push(storage: MemoryStorage) -> float:
    """Seconds of CPU for one push."""
    started = time.process_time()
    for number in range(TASKS):
        storage.push(number, keep_result=False)
    return (time.process_time() - started) / TASKS


def _take(storage: MemoryStorage) -> float:
    """Seconds of CPU to take one task and finish it."""
    with storage.register_worker("w") as lease:
        stream = storage.poll(lease)
        started = time.process_time()
        for _ in range(TASKS):
            task = next(stream)
            assert task is not None
            lease.finish(task, None)
        return (time.process_time() - started) / TASKS


@pytest.mark.slow
def test_cost_does_not_grow_with_the_queue(make_queue: MakeQueue) -> None:
    """With 100,000 tasks waiting, push and take cost within 1.5 times of what they do at 1,000."""
    few, many = make_queue("few", capacity=1 << 17), make_queue("many", capacity=1 << 17)
    few.push_bulk([None] * FEW, keep_result=False)
    many.push_bulk([None] * MANY, keep_result=False)
    costs: dict[Any, list[float]] = {
        (what, storage): [] for what in (_push, _take) for storage in (few, many)
    }
    for _ in range(ROUNDS):  # in turns, so that a change of the machine's pace meets both
        for (what, storage), seconds in costs.items():
            seconds.append(what(storage))
    for what in (_push, _take):
        low, high = min(costs[what, few]), min(costs[what, many])
        print(
            f"\n{what.__name__.strip('_')}: {low * 1e6:.1f} us with {FEW:,} tasks waiting,"
            f" {high * 1e6:.1f} us with {MANY:,}: ratio {high / low:.2f}"
        )
        assert high <= 1.5 * low

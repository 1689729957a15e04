"""The rate that a limit of a queue keeps, over real processes and real time."""

from __future__ import annotations

import time

import pytest

from ipcq import MemoryStorage, Monitor
from ipcq.layers import RateLimit

RATE = 100


def now(_: int) -> float:
    """When a run began."""
    return time.monotonic()


@pytest.mark.one_fork_server
@pytest.mark.parametrize("seconds", [0.2, pytest.param(10, marks=pytest.mark.slow)])
def test_four_workers_keep_one_rate(queue: MemoryStorage, seconds: float) -> None:
    """Together they begin as many runs as the limit says: never more, and over 10 s within 5 %."""
    tasks = round(RATE * seconds) + 1
    with Monitor(queue, now, workers=4, layers=[RateLimit(RATE, per=queue)]):
        begun = sorted(result.unwrap() for result in queue.wait_for(queue.push_bulk(range(tasks)), 60))
    lasted = begun[-1] - begun[0]
    assert lasted > seconds * 0.95 - 0.05  # the first may be late, and so all others seem early
    if seconds >= 10:
        assert lasted < seconds * 1.05

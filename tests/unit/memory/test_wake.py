"""Waits that are woken out of a signal handler, or dropped half-way."""

from __future__ import annotations

import signal
import time
from types import FrameType

import pytest

from ipcq.backends.memory import MemoryStorage
from ipcq.backends.memory.layout import UNFETCHED
from ipcq.errors import WaitTimeout

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")


@pytest.mark.slow
def test_a_stream_can_be_woken_by_a_signal_handler_at_any_moment(queue: MemoryStorage) -> None:
    """Thousands of signals a second, each waking the stream that the same thread waits on, never block."""
    stream = queue.poll("worker")
    woken = 0

    def wake(_number: int, _frame: FrameType | None) -> None:
        nonlocal woken
        woken += 1
        stream.wake()

    before = signal.signal(signal.SIGALRM, wake)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        until = time.monotonic() + 0.4
        while time.monotonic() < until:
            assert next(stream) is None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        stream.close()
    assert woken > 100


def test_a_wait_can_be_woken_by_a_signal_handler(queue: MemoryStorage) -> None:
    """A `ready` that would wait for long returns when the handler of a signal wakes it."""
    results = queue.wait_for([queue.push(1)])
    before = signal.signal(signal.SIGALRM, lambda *_: results.wake())
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    started = time.monotonic()
    try:
        assert results.ready(30) == []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < 10


def test_a_dropped_wait_takes_no_results(queue: MemoryStorage) -> None:
    """What finishes after a loop over results was left half-way stays for whoever waits next."""
    ids = [queue.push(number) for number in range(3)]
    with queue.register_worker("worker") as lease:
        stream = queue.poll(lease)
        for _ in ids:
            task = next(stream)
            assert task is not None
            if task.id == ids[1]:
                results = queue.wait_for(ids)
                assert next(results).value == 0
                del results
            lease.finish(task, task.args)
        stream.close()
    other = queue.push("last")
    with pytest.raises(WaitTimeout):
        queue.wait(other, timeout=0)  # empties the inbox

    unfetched = queue._connection.words[UNFETCHED]
    assert unfetched != 0
    assert [result.value for result in queue.wait_for(ids)] == [0, 1, 2]

"""A loop that does not turn is told of, with what it is at."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from ipcq.testing import FakeClock
from ipcq.worker import Worker
from ipcq.worker.turning import Turning

from .fakes import FakeBackend

PATIENCE = 10.0  # seconds


class Loop:
    """A loop in another thread, which blocks when it is told to."""

    def __init__(self) -> None:
        self.clock = FakeClock(0)
        self.loop = asyncio.new_event_loop()
        self.blocks, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.turning = asyncio.run_coroutine_threadsafe(self._made(), self.loop).result(PATIENCE)

    async def _made(self) -> Turning:
        return Turning(clock=self.clock)

    def start(self, name: str, times: int = 1) -> None:
        """Have a coroutine block the loop so often, each time until it may go on."""

        async def block_the_loop() -> None:
            for _ in range(times):
                self.blocks.release()
                assert self.go.acquire(timeout=PATIENCE)
                await asyncio.sleep(0)  # what was asked before is answered here

        self.loop.call_soon_threadsafe(lambda: self.loop.create_task(block_the_loop(), name=name))

    def look_while_it_blocks(self, *seconds: float) -> None:
        """Look after each of these."""
        assert self.blocks.acquire(timeout=PATIENCE)
        for pause in seconds:
            self.clock.advance(pause)
            self.turning.look()
        self.go.release()

    def close(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(PATIENCE)
            self.loop.close()


@pytest.fixture
def loop(caplog: pytest.LogCaptureFixture) -> Iterator[Loop]:
    """One that turns so far."""
    caplog.set_level(logging.WARNING, "ipcq.worker")
    found = Loop()
    yield found
    found.close()


def test_what_blocks_it_is_told_once(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """After a second, with the coroutine's name and where it is; the next one is told of, too."""
    loop.start("ipcq task 7", times=2)
    loop.look_while_it_blocks(0.5, 0.5, 0.4)
    assert caplog.records == []
    loop.look_while_it_blocks(0.5, 0.5, 0.6, 0.5)
    (record,) = caplog.records
    assert "ipcq task 7 has blocked its event loop for 1.1 s" in record.getMessage()
    assert "in block_the_loop\n    assert self.go.acquire" in record.getMessage()
    assert "run_forever" not in record.getMessage()
    loop.start("ipcq task 8")
    loop.look_while_it_blocks(0.5, 0.5, 0.6)
    assert [record.getMessage()[:11] for record in caplog.records] == ["ipcq task 7", "ipcq task 8"]


def test_one_look_proves_nothing(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """All threads of a process that was stopped go on together."""
    loop.start("ipcq task 7")
    loop.look_while_it_blocks(0.5, 60)
    assert caplog.records == []


def test_a_loop_that_turns_is_no_news(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """However often it is looked at; when it is closed, too."""
    for _ in range(5):
        loop.clock.advance(5)
        loop.turning.look()
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop.loop).result(PATIENCE)
    loop.close()
    for _ in range(5):
        loop.clock.advance(5)
        loop.turning.look()
    assert caplog.records == []


@pytest.mark.slow
def test_a_worker_tells_which_task_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """By its id, while it blocks."""

    def told(record: logging.LogRecord) -> bool:
        heard.set()
        return True

    heard = threading.Event()
    logging.getLogger("ipcq.worker").addFilter(told)
    try:
        backend = FakeBackend([1])

        async def handler(_: int) -> bool:
            return heard.wait(PATIENCE)

        Worker("w", backend, handler).run(until_empty=True)
    finally:
        logging.getLogger("ipcq.worker").removeFilter(told)
    assert ("finish", 1, True) in backend.log
    assert "ipcq task 0" in caplog.text
    assert "return heard.wait(PATIENCE)" in caplog.text

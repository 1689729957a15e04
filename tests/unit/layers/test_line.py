"""Coroutines that wait for the same limit stand in line."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from ipcq import MemoryStorage, Task
from ipcq.backend import Permit, Turn
from ipcq.layer import ForcedStop
from ipcq.layers import ConcurrencyLimit, RateLimit
from ipcq.layers.own import OwnLimits

TASK = Task.of(1)
MANY = 50


class Counted(OwnLimits):
    """Counts how many ask at once."""

    def __init__(self) -> None:
        super().__init__()
        self.asking = self.most = 0
        self._counting = threading.Lock()

    def _asked(self, change: int) -> None:
        with self._counting:
            self.asking += change
            self.most = max(self.most, self.asking)

    def take_turn(self, name: str, per_second: float, burst: int = 1) -> Turn:
        self._asked(1)
        try:
            return super().take_turn(name, per_second, burst)
        finally:
            self._asked(-1)

    def take_permit(self, name: str, limit: int, *, waited: float = 0.0) -> Any:
        self._asked(1)
        try:
            return super().take_permit(name, limit, waited=waited)
        finally:
            self._asked(-1)


def _context() -> Any:
    return SimpleNamespace(stopping=False)


@pytest.mark.parametrize("kind", ["permits", "turns"])
def test_one_of_a_loop_asks(kind: str) -> None:
    """They ask in the order in which they came; another loop has a line of its own."""
    limits = Counted()
    layer = ConcurrencyLimit(2, per=limits) if kind == "permits" else RateLimit(1000, per=limits)

    async def all_of_them() -> list[int]:
        began = list[int]()

        async def body(number: int) -> None:
            began.append(number)
            await asyncio.sleep(0)

        async def one(number: int) -> None:
            await layer.awaiting(TASK, _context(), lambda *_: body(number))

        await asyncio.gather(*map(one, range(MANY)))
        return began

    for _ in range(2):
        began = asyncio.run(all_of_them())
        # Turns are a millisecond apart: who wakes late begins after the next one.
        assert (began if kind == "permits" else sorted(began)) == list(range(MANY))
    assert (limits.most, limits.asking) == (1, 0)


def test_what_one_gives_back_the_next_has_at_once(
    queue: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when it would have looked again."""
    monkeypatch.setattr("ipcq.layers.concurrency._SHORTEST", 60.0)
    layer = ConcurrencyLimit(1, per=queue)

    async def all_of_them() -> None:
        async def body(*_: Any) -> None:
            for _turn in range(10):  # the next one has looked by then
                await asyncio.to_thread(int)

        waiting = [layer.awaiting(TASK, _context(), body) for _ in range(5)]
        await asyncio.wait_for(asyncio.gather(*waiting), 30)

    asyncio.run(all_of_them())


def test_all_in_line_leave_with_their_worker(queue: MemoryStorage) -> None:
    """Though somebody else has what they wait for; one that is cancelled is missed by nobody."""
    layer, context = ConcurrencyLimit(1, per=queue), _context()

    async def body(*_: Any) -> None:
        pytest.fail("it ran")

    async def all_of_them(permit: Permit) -> None:
        waiting = [asyncio.ensure_future(layer.awaiting(TASK, context, body)) for _ in range(MANY)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[7].cancel()
        context.stopping = True
        ends = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
        assert [type(end) for end in ends].count(ForcedStop) == MANY - 2
        permit.release()
        assert repr(layer._line) == "<Line [empty]>"

    permit = queue.take_permit("default", 1)
    assert permit is not None
    asyncio.run(all_of_them(permit))

"""Results as they come, for ``async for``."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any

from ..backend import OnProgress
from ..errors import ResultExpired, WaitTimeout
from ..result import TaskResult
from ..task import TaskId
from .calls import Calls
from .collector import Collector
from .waiters import Future

__all__ = ["AsyncResults"]


class _Arrivals:
    """Futures that are awaited, and those that came; they keep it, and not the `AsyncResults`."""

    def __init__(self) -> None:
        self.open: dict[TaskId, Future] = {}
        self.came: deque[Future] = deque()
        self.changed = asyncio.Event()

    def arrived(self, task_id: TaskId, future: Future) -> None:
        """Called in the loop when a future was set."""
        future.exception()  # seen, though nobody may ask for it
        if self.open.pop(task_id, None) is not None:
            self.came.append(future)
        self.changed.set()


class AsyncResults:
    """Results in the order in which they came, each id once; what `AsyncQueue.wait_for` returns.

    An async iterator. It raises `TaskNotFound` for an unknown id, `WaitTimeout` when the time is over, and
    `ResultExpired` for one that was removed meanwhile.
    """

    def __init__(
        self,
        calls: Calls,
        collector: Collector,
        ids: Iterable[TaskId | str],
        timeout: float | None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._calls = calls
        self._collector = collector
        self._timeout = timeout
        self._on_progress = on_progress
        self._arrivals = _Arrivals()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        weakref.finalize(self, _let_go, collector, self._arrivals).atexit = False
        self.add(ids)
        if timeout is not None:
            self._timer = self._loop.call_later(timeout, _end, collector, self._arrivals, timeout)

    def __repr__(self) -> str:
        return f"<AsyncResults [{len(self._arrivals.came)} ready, {len(self)} awaited]>"

    def __len__(self) -> int:
        """How many are still awaited."""
        return len(self._arrivals.open)

    def add(self, ids: Iterable[TaskId | str]) -> None:
        """Wait for these too; what is wrong with them, the iteration tells."""
        self._calls.check()
        wanted = [each for each in map(TaskId.parse, ids) if each not in self._arrivals.open]
        new: dict[TaskId, Future] = {each: self._loop.create_future() for each in wanted}
        for task_id, future in new.items():
            future.add_done_callback(partial(self._arrivals.arrived, task_id))
        self._arrivals.open.update(new)
        self._collector.ask(new, self._on_progress)

    def __aiter__(self) -> AsyncResults:
        return self

    async def __anext__(self) -> TaskResult[Any]:
        arrivals = self._arrivals
        while not arrivals.came:
            if not arrivals.open:
                self.close()
                raise StopAsyncIteration
            arrivals.changed.clear()
            await arrivals.changed.wait()
        try:
            return arrivals.came.popleft().result()
        except ResultExpired:
            raise  # the others go on
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        _let_go(self._collector, self._arrivals)
        self._arrivals.changed.set()


def _let_go(collector: Collector, arrivals: _Arrivals) -> None:
    """Nobody waits for these any more."""
    waiting, arrivals.open = arrivals.open, {}
    for task_id, future in waiting.items():
        collector.drop(task_id, future)
    arrivals.came.clear()


def _end(collector: Collector, arrivals: _Arrivals, timeout: float) -> None:
    """The time is over."""
    count = len(arrivals.open)
    error = WaitTimeout(f"waited {timeout:g} s; {count} of the tasks have not finished; they go on")
    for task_id, future in list(arrivals.open.items()):
        collector.late(task_id, future, error)

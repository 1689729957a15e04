"""Tasks for one worker, as the function gives them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from ...polling import PollStrategy
from ...task import Task
from ..awaiting import AwaitedTasks
from .lease import FunctionLease

__all__ = ["FunctionStream"]

_TICK = 0.5  # seconds after which None is returned


class FunctionStream(AwaitedTasks):
    """Fulfils `TaskStream`: looks, and when there was nothing, waits as the strategy says."""

    def __init__(self, lease: FunctionLease, strategy: PollStrategy, *, owned: bool) -> None:
        """
        Args:
            owned: whether the lease was made for this stream and ends with it.
        """
        super().__init__(lease, _TICK)
        self._lease, self._owned = lease, owned
        self._source = lease.source
        self._poller = strategy.start()
        self._source.watch(self._poller)
        self._rows: Iterator[Any] | None = None
        self._time_to_look = True
        self._woken = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else repr(self._poller)
        return f"<FunctionStream of {self._lease.worker_id!r} [{state}]>"

    def _next(self, patience: float) -> Task[Any] | None:
        if self._kept:
            return self._kept.popleft()
        until = time.monotonic() + patience
        while not (self._time_to_look or self._source.due_in() <= 0):
            left = until - time.monotonic()
            if left <= 0 or self._woken:
                self._woken = False
                return None
            self._time_to_look = self._poller.wait(min(left, self._source.due_in()))
        task = self._look()
        if task is None:
            return None
        self._poller.found()
        return self._lease.start(task)

    def wake(self) -> None:
        """Make a `next` that waits return None; from another thread or a signal handler."""
        self._woken = True
        self._poller.wake()

    def close(self) -> None:
        """Give back what was not taken, and end the stream."""
        if self._closed:
            return
        self._closed = True
        with ExitStack() as last:  # each of them, whatever the others raise
            if self._owned:
                last.callback(self._lease.close)
            end = getattr(self._rows, "close", None)
            if end is not None:
                last.callback(end)  # a generator: its own clearing up
            last.callback(self._poller.close)
            last.callback(self._return_kept)

    def _look(self) -> Task[Any] | None:
        """What is there: to be run again, or, when it is time, left of the last rows, or new."""
        task = self._source.again()
        if task is None and self._time_to_look:
            task = self._next_row(self._rows) if self._rows is not None else None
            if task is None and self._rows is None:
                task = self._fetch()
            self._time_to_look = task is not None
            if task is not None and task.run_at > time.time():
                self._source.put_back(task, task.run_at)
                return self._look()
        return task

    def _fetch(self) -> Task[Any] | None:
        got = self._source.fetch()
        if not isinstance(got, Iterator):
            return got
        self._rows = got
        return self._next_row(got)

    def _next_row(self, rows: Iterator[Any]) -> Task[Any] | None:
        try:
            return self._source.next_of(rows)
        except StopIteration:
            self._rows = None
            return None

"""The future of one call."""

from __future__ import annotations

import time
from concurrent.futures import Future
from concurrent.futures._base import CANCELLED
from typing import Any, Protocol

from ..task import TaskId
from .encoding import Call

__all__ = ["CallFuture", "Caller"]


class Caller(Protocol):
    """What a future asks of whoever made it."""

    def withdraw(self, future: CallFuture) -> bool:
        """See that the call is not made; whether that could be."""
        ...

    def has_begun(self, future: CallFuture) -> bool:
        """Whether the call is being made."""
        ...

    def help(self, future: CallFuture, timeout: float | None) -> None:
        """Fetch results until that of the call is there, if nobody does."""
        ...


class CallFuture(Future[Any]):
    """A `concurrent.futures.Future` of a call that is a task in a queue.

    Attributes:
        task_id: of that task; None until it is stored.
        call: None when it has ended, so that nothing it holds is kept.
    """

    def __init__(self, caller: Caller, call: Call) -> None:
        super().__init__()
        self.task_id: TaskId | None = None
        self.call: Call | None = call
        self._caller = caller

    def cancel(self) -> bool:
        """See that the call is not made; False if it was begun or has ended."""
        if self.done():
            return self.cancelled()
        if not self._caller.withdraw(self):
            return False
        self.withdrawn()
        return self.cancelled()

    def withdrawn(self) -> None:
        """The call is not made; told by who cancelled it, and by who fetches what became of it."""
        self.call = None
        super().cancel()
        with self._condition:  # the first of both tells those who wait
            if self._state == CANCELLED:
                self.set_running_or_notify_cancel()

    def result(self, timeout: float | None = None) -> Any:
        """What the call returned; raises what it raised, `TimeoutError`, or `CancelledError`."""
        return super().result(self._helped(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the call raised, or None; raises `TimeoutError` or `CancelledError`."""
        return super().exception(self._helped(timeout))

    def _helped(self, timeout: float | None) -> float | None:
        """Wait for the end as best as can be; the seconds that are left."""
        if self.done():
            return timeout
        until = None if timeout is None else time.monotonic() + timeout
        self._caller.help(self, timeout)
        return None if until is None else max(0.0, until - time.monotonic())

    def running(self) -> bool:
        """Whether the call is being made."""
        return not self.done() and self._caller.has_begun(self)

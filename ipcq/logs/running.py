"""The worker's side: what code of a task logs and prints goes to who pushed it, if that was asked for."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from ..layer import CallNext
from ..task import Task
from .address import is_name
from .channel import Channel, Channels
from .messages import LONGEST_OUTPUT, Origin, dump_output, dump_record
from .tee import Lines

__all__ = ["KEY", "Forwarding", "Run", "Wish", "current"]

KEY = "ipcq.logs"
"""Under which a task's metadata say where its records go, as a `Wish`."""


class Wish(NamedTuple):
    """What the one who pushed a task asks for.

    Attributes:
        receiver: its name.
        level: of the records that are sent, and higher.
        capture: whether output is, too.
    """

    receiver: str
    level: int
    capture: bool

    @classmethod
    def read(cls, value: object) -> Wish | None:
        """Of a task's metadata, which anybody may have written; None for anything else."""
        if not isinstance(value, (list, tuple)) or len(value) != 3:
            return None
        receiver, level, capture = value
        if not is_name(receiver) or type(level) is not int or type(capture) is not bool:
            return None
        return cls(receiver, level, capture)


class Run:
    """One run of a task whose records are sent."""

    def __init__(self, origin: Origin, wish: Wish, channel: Channel) -> None:
        self._origin, self._channel = origin, channel
        self._open = True
        self.level, self.captures = wish.level, wish.capture
        self._lines = {name: self._stream(name) for name in ("stdout", "stderr")} if wish.capture else {}

    def __repr__(self) -> str:
        return f"<Run of task {self._origin.task_id} by {self._channel!r}>"

    def _stream(self, name: str) -> Lines:
        def send(text: str) -> None:
            self._channel.send(self._origin, dump_output(self._origin, name, text))

        return Lines(send, LONGEST_OUTPUT)

    def begin(self) -> None:
        """Have the way kept open for it."""
        self._channel.runs += 1

    def log(self, record: logging.LogRecord) -> None:
        """Send a record; in the receiver's own process it is there already."""
        if self._open and not (self._channel.own or self._channel.gone):
            self._channel.send(self._origin, dump_record(self._origin, record))

    def write(self, stream: str, text: str) -> bool:
        """Send output; False where that is not asked for, or there is nobody for it any more."""
        if not self.captures or not self._open or self._channel.gone:
            return False
        self._lines[stream].write(text)
        return True

    def end(self) -> None:
        """Send what is left; who goes on in this context after the run is heard no more."""
        for lines in self._lines.values():
            lines.end()
        self._open = False
        self._channel.runs -= 1
        self._channel.settle()


current: ContextVar[Run | None] = ContextVar("ipcq.logs", default=None)
"""The run that this code belongs to, if its records are sent."""


class Forwarding:
    """A layer around the runs of one worker; one that did not ask costs a look at an empty dict."""

    def __init__(self, hooked: Callable[[int, bool], Any]) -> None:
        self._channels = Channels()
        self._hooked = hooked

    def __repr__(self) -> str:
        return f"<Forwarding by {self._channels!r}>"

    def __call__(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """Run what is inside."""
        run = self._run(task, context)
        if run is None:
            return call_next(task, context)
        with self._forwarded(run):
            return call_next(task, context)

    def around(self, call_next: CallNext) -> CallNext:
        """The same as one callable, for tasks of which most did not ask: those come by at once."""

        def run(task: Task[Any], context: Any) -> Any:
            return self(task, context, call_next) if task.metadata else call_next(task, context)

        return run

    def awaiting(self, task: Task[Any], context: Any, call_next: CallNext) -> Awaitable[Any]:
        """The same around a coroutine."""
        run = self._run(task, context) if task.metadata else None
        return call_next(task, context) if run is None else self._await(run, task, context, call_next)

    async def _await(self, run: Run, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        with self._forwarded(run):
            return await call_next(task, context)

    def close(self) -> None:
        """Send nothing more."""
        self._channels.close()

    def _run(self, task: Task[Any], context: Any) -> Run | None:
        wish = Wish.read(task.metadata.get(KEY))
        channel = self._channels.get(wish.receiver) if wish is not None else None
        if wish is None or channel is None:
            return None
        return Run(Origin(task.id, context.worker, context.queue or task.queue), wish, channel)

    @contextmanager
    def _forwarded(self, run: Run) -> Iterator[None]:
        with self._hooked(run.level, run.captures):
            before = current.get()
            current.set(run)
            run.begin()
            try:
                yield
            finally:
                run.end()
                current.set(before)  # not by a token: a coroutine that was left behind ends in any context

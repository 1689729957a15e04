"""The loop of ``ipcq map``: items into the queue, results out of it, lines to the writer."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any, Protocol

from ..backend import WaitForCompletion
from ..errors import CodecError, IpcqError, PushError, QueueFull, TaskSinkError
from ..result import ErrorInfo, TaskResult
from ..sink import TaskSink
from ..task import Task, TaskId
from .bell import Bell
from .inbox import Inbox
from .items import unpack
from .ledger import Ledger, Unrecorded
from .output import error_line
from .stream import Window
from .tally import Tally
from .writer import Writer

__all__ = ["Pump", "PumpQueue"]

_BATCH = 256  # items pushed between two looks at what is done
_TICK = 0.5  # seconds between two looks at what rings no bell: the monitor, the clock of the bar


class PumpQueue(TaskSink, WaitForCompletion, Protocol):
    """What the loop needs of a backend."""


class Pump:
    """Moves items through a queue, in one thread, and never holds back what could go on.

    Args:
        queue: carries items and lines as bytes.
        inbox: where items come from; rings the bell.
        window: what may be under way.
        writer: where lines go; written out whenever there is nothing else to do.
        bell: rung by whoever wants to be looked at.
        tally: what is counted.
        look: called at each turn; what it raises ends the loop.
        ledger: which task each item is; None for one of a run that nobody goes on with.
        mark: called with the tasks of items before they are pushed.
    """

    def __init__(
        self,
        queue: PumpQueue,
        inbox: Inbox,
        window: Window,
        writer: Writer,
        bell: Bell,
        tally: Tally,
        look: Callable[[], None],
        ledger: Ledger | None = None,
        mark: Callable[[list[Task[bytes]]], object] | None = None,
    ) -> None:
        self._queue, self._inbox, self._window, self._writer = queue, inbox, window, writer
        self._bell, self._tally, self._look = bell, tally, look
        self._ledger: Ledger = ledger or Unrecorded()
        self._mark = mark
        self._next: list[Task[bytes]] = []  # taken from the inbox, not pushed yet
        self._singly = 0  # how many of them to push one by one
        self._done = queue.wait_for([])

    @property
    def unfinished(self) -> int:
        """How many items were taken and have no line."""
        return len(self._next) + len(self._window)

    def run(self) -> None:
        """Go on until every item of the source has its line; raise what ended the source early."""
        with self._bell.connected(self._done.wake):
            while self.unfinished or not self._inbox.exhausted:
                self._turn()
        if not self._writer.flush():
            self._look()  # told to end before everything was written: that is no success
        if self._inbox.error is not None:
            raise self._inbox.error

    def salvage(self) -> None:
        """Write what is done, whatever it was to wait for; to be called after the workers ended."""
        try:
            self._settle(self._done.ready(0))
        except IpcqError:
            pass  # the queue itself may be what ended the loop
        if not self._ledger.resumable:  # else those behind a gap get their lines from the next run
            self._writer.write(self._window.drain())
        self._writer.flush()

    def _turn(self) -> None:
        self._bell.quieten()
        self._look()
        pushed = self._push()
        results = self._done.ready(0)
        if not pushed and not results:
            self._writer.flush()
            results = self._wait()
        self._settle(results)

    def _wait(self) -> list[TaskResult[Any]]:
        if len(self._done) and not self._bell.rung():
            return self._done.ready(_TICK)
        self._bell.wait(_TICK)
        return []

    def _push(self) -> bool:
        """Push what there is room for; tell whether it is worth to try again at once."""
        if not self._next:
            count, size = self._window.room()
            items = self._inbox.take(min(count, _BATCH), size)
            self._next = self._ledger.tasks(items)
            if self._mark is not None:
                self._mark(self._next)
            if items and not self._next:
                return True  # all of these have their lines
        batch = self._next[:1] if self._singly else self._next
        return bool(batch) and self._accepted(batch)

    def _accepted(self, batch: list[Task[bytes]]) -> bool:
        try:
            self._store(batch)
        except QueueFull:
            if not self._window:
                raise  # nothing is under way that could make room
            return False
        except (PushError, CodecError) as error:
            if len(batch) > 1:  # find out which is refused
                self._singly = len(self._next)
                return True
            self._refuse(self._next.pop(0), error)
        self._singly = max(0, self._singly - 1)
        return True

    def _store(self, tasks: list[Task[bytes]]) -> None:
        """Push items; they stay in `_next` only if they were not stored.

        An error may come after some of them were. Pushed again, these would run twice: so the ids
        are ours, and we look which of them the queue has.
        """
        there = self._there(tasks) if self._ledger.known(tasks) else set()
        try:
            self._queue.push_all([task for task in tasks if task.id not in there], block=False)
        except TaskSinkError:
            there = self._there(tasks)
            self._admit(list(takewhile(lambda task: task.id in there, tasks)))
            raise
        self._admit(tasks)

    def _there(self, tasks: list[Task[bytes]]) -> set[TaskId]:
        return set(self._queue.check_status([task.id for task in tasks]))

    def _admit(self, tasks: list[Task[bytes]]) -> None:
        """Note what was stored: always the first of `_next`, for a queue stores in order."""
        for task in tasks:
            self._window.admit(task.id, task.args)
        self._next = self._next[len(tasks) :]
        self._done.add([task.id for task in tasks])

    def _refuse(self, task: Task[bytes], error: Exception) -> None:
        """Make the refusal of an item, for instance because it is too large, its outcome."""
        self._window.admit(task.id, task.args)
        self._fail(task.id, ErrorInfo.from_exception(error))

    def _settle(self, results: list[TaskResult[Any]]) -> None:
        for result in results:
            if result.error is not None:
                self._fail(result.task_id, result.error)
            else:
                self._tally.done += 1
                self._write(result.task_id, bytes(result.value or b""))

    def _fail(self, task_id: TaskId, error: ErrorInfo) -> None:
        item = self._window.item(task_id)
        self._tally.fail(item, error)
        self._ledger.failed(task_id)
        self._write(task_id, error_line(unpack(item), error))

    def _write(self, task_id: TaskId, line: bytes) -> None:
        lines = self._window.settle(task_id, line)
        self._ledger.handed(task_id, len(lines))  # before: the writer may write them out at once
        self._writer.write(lines)

"""Reads a source and pushes its items, some at a time, no faster than the queue takes them."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from ..errors import CodecError, DuplicateTask, PushError, TaskSinkError
from ..sink import TaskSink
from .letters import DeadLetter
from .sources import Source, read

__all__ = ["Feeder"]

_TICK = 0.5  # seconds: the bound of every wait

_OF_THE_ITEM = (CodecError, DuplicateTask, PushError)  # the next one may well be taken


class Feeder:
    """Feeds one source into one queue, once.

    One thread reads, another pushes what was read meanwhile: a slow source waits for nothing, and of a fast
    one many items are pushed together. At most ``batch`` items are read ahead.

    Attributes:
        pushed: how many items were accepted.
        refused: how many were not, and were passed over.
        error: what ended it, other than the end of the source.
    """

    def __init__(
        self, source: Source, sink: TaskSink, letter: DeadLetter | None, batch: int, parts: dict[str, Any]
    ) -> None:
        """
        Args:
            letter: what to do with items that are refused; None to end with the error.
        """
        self.pushed = 0
        self.refused = 0
        self.error: BaseException | None = None
        self._source, self._sink, self._letter, self._batch, self._parts = source, sink, letter, batch, parts
        self._read: deque[Any] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._over = False  # nothing more is read
        self._done = False

    def __repr__(self) -> str:
        state = "ended" if self._done else "feeding"
        return f"<Feeder: {self.pushed} pushed, {self.refused} refused [{state}]>"

    @property
    def done(self) -> bool:
        """Whether all that was read is pushed, and nothing more is read."""
        return self._done

    def stop(self) -> None:
        """Read nothing more; what was read is pushed."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def run(self) -> None:
        """Read in this thread until the source ends, or `stop`; what went wrong is `error`, and raised."""
        pushing = threading.Thread(target=self._push_all, name="ipcq-feeder", daemon=True)
        pushing.start()
        try:
            read(self._source, self._take, lambda: self._stopped)
        except BaseException as error:
            self.error = self.error or error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()
            pushing.join()
            self._done = True
        if self.error is not None:
            raise self.error

    # --- in the thread that reads -----------------------------------------------------------------

    def _take(self, item: Any) -> bool:
        with self._changed:
            while len(self._read) >= self._batch and not self._stopped:
                self._changed.wait(_TICK)
            if self.error is not None:
                return False
            self._read.append(item)
            self._changed.notify_all()
            return not self._stopped

    # --- in the thread that pushes ------------------------------------------------------------------

    def _push_all(self) -> None:
        try:
            while items := self._next():
                self._push(items)
        except BaseException as error:
            with self._changed:
                self.error = self.error or error
                self._stopped = True
                self._changed.notify_all()

    def _next(self) -> list[Any]:
        with self._changed:
            while not self._read and not self._over:
                self._changed.wait(_TICK)
            items = list(self._read)
            self._read.clear()
            self._changed.notify_all()
            return items

    def _push(self, items: list[Any]) -> None:
        """Together where that can be; else one by one, to find out which is refused."""
        try:
            self._sink.push_bulk(items, **self._parts)
        except _OF_THE_ITEM as error:
            self.pushed += len(error.accepted)
            for item in items[len(error.accepted) :]:
                self._push_one(item)
        else:
            self.pushed += len(items)

    def _push_one(self, item: Any) -> None:
        try:
            self._sink.push(item, **self._parts)
        except _OF_THE_ITEM as error:
            number = self.pushed + self.refused
            if self._letter is None:
                raise _named(error, number, item) from error
            self._letter(item, error)
            self.refused += 1
        else:
            self.pushed += 1


def _named(error: TaskSinkError, number: int, item: Any) -> PushError:
    try:
        what = repr(item)
    except Exception as broken:
        what = f"<{type(item).__name__}, whose repr raises {type(broken).__name__}>"
    return PushError(f"item {number} of the source, {what:.80}, was not pushed: {error}")

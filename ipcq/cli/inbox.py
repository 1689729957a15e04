"""The reader: a thread that takes items from a source, ahead of who needs them but not too far."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator

__all__ = ["Inbox"]

_ITEMS = 1 << 17  # most real lists fit, so that their length, and the time left, is known early
_BYTES = 16 << 20


class Inbox:
    """A bounded buffer that a thread of its own fills from a source, which may block for ever.

    Args:
        source: yields batches of items.
        ring: called when there is something to see: an item after none, the end, an error.
        items: the reader pauses while it holds this many, or this many bytes.
        size: the same in bytes.

    Attributes:
        error: what ended the source too early; None otherwise.
    """

    def __init__(
        self,
        source: Iterator[list[bytes]],
        ring: Callable[[], None],
        *,
        items: int = _ITEMS,
        size: int = _BYTES,
    ) -> None:
        self._source = source
        self._ring = ring
        self._items, self._size = items, size
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self._seen = 0
        self._ended = False
        self.error: Exception | None = None

    def __repr__(self) -> str:
        state = "ended" if self._ended else "reading"
        return f"<Inbox [{state}, {len(self._waiting)} waiting, {self._seen} seen]>"

    def start(self) -> None:
        """Begin to read. The thread never keeps the process alive: its source may be silent for ever."""
        threading.Thread(target=self._read, name="ipcq-reader", daemon=True).start()

    def close(self) -> None:
        """Let the reader end at its next batch."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def seen(self) -> int:
        """How many items the source gave so far."""
        return self._seen

    @property
    def total(self) -> int | None:
        """How many items the source had; None while it goes on."""
        return self._seen if self._ended else None

    @property
    def exhausted(self) -> bool:
        """Whether everything was taken and nothing will come."""
        with self._changed:
            return self._ended and not self._waiting

    def take(self, count: int, size: int) -> list[bytes]:
        """Return the next items, at most ``count``, up to the one that completes ``size`` bytes.

        Never waits.
        """
        taken: list[bytes] = []
        with self._changed:
            while self._waiting and len(taken) < count and size > 0:
                item = self._waiting.popleft()
                size -= len(item)
                self._bytes -= len(item)
                taken.append(item)
            self._changed.notify_all()
        return taken

    def _read(self) -> None:
        error = None
        try:
            for batch in self._source:
                if not self._put(batch):
                    return
        except Exception as problem:
            error = problem
        with self._changed:
            self._ended, self.error = True, error
        self._ring()

    def _put(self, batch: list[bytes]) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room())
            if self._closed:
                return False
            was_empty = not self._waiting
            self._waiting.extend(batch)
            self._seen += len(batch)
            self._bytes += sum(map(len, batch))
        if was_empty:
            self._ring()
        return True

    def _has_room(self) -> bool:
        return len(self._waiting) < self._items and self._bytes < self._size

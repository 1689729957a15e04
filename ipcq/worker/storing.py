"""Stores how coroutines ended, in a thread beside their loop: none of them waits for a disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from .run import Run

__all__ = ["Storing"]


class Storing:
    """While entered, stores the ends of runs one by one; leaving waits for those that are left.

    Args:
        store: stores how a run ended; what it raises is told.
        stored: called in that thread after each one, with the run and what `store` raised.
    """

    def __init__(
        self, store: Callable[[Run], object], stored: Callable[[Run, BaseException | None], object]
    ) -> None:
        self._store, self._stored = store, stored
        self._ended: SimpleQueue[Run | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="ipcq-storing")

    def __repr__(self) -> str:
        return f"<Storing: about {self._ended.qsize()} to be stored>"

    def __enter__(self) -> Storing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.put(None)
        self._thread.join()

    def put(self, run: Run) -> None:
        """Have its end stored; returns at once."""
        self._ended.put(run)

    def _work(self) -> None:
        while (run := self._ended.get()) is not None:
            error: BaseException | None = None
            try:
                self._store(run)
            except BaseException as raised:
                error = raised
            self._stored(run, error)
            del run, error  # what they hold is not ours until the next one comes

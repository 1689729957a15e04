"""Where the tasks of a backend of functions come from, and what waits in this process to be run again."""

from __future__ import annotations

import heapq
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

from ...errors import LeaseLost, QueueClosed, StorageError
from ...polling import Poller
from ...result import TaskResult
from ...task import Task
from .plain import done

__all__ = ["Ack", "Fetch", "GiveBack", "Push", "Rows", "Source"]

log = logging.getLogger("ipcq.functions")

Fetch = Callable[[], Any]
"""Returns the arguments of the next task, or a `Task`, or an iterator of these; None: nothing now."""

Push = Callable[[Task[Any]], object]
"""Stores a task where `Fetch` will find it."""

Ack = Callable[[Task[Any], TaskResult[Any]], object]
"""Hears, once for each task, that it is DONE or KILLED, and what came of it."""

GiveBack = Callable[[Task[Any]], object]
"""Takes back a task that was fetched and not run to its end."""


class Rows:
    """A plain iterable as a `Fetch`: all workers of this process share it, and each row comes once."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows = iter(rows)
        self._mutex = threading.Lock()

    def __call__(self) -> Any:
        """The next row, or None after the last one."""
        with self._mutex:
            return next(self._rows, None)


class Source:
    """What the workers of one backend object share in this process.

    Args:
        name: of the queue.
        fetch: may be called from several threads.
    """

    def __init__(self, name: str, fetch: Fetch, ack: Ack | None, give_back: GiveBack | None) -> None:
        self.name = name
        self._fetch, self._ack, self._give_back = fetch, ack, give_back
        self._mutex = threading.Lock()
        self._again: list[tuple[float, int, Task[Any]]] = []  # by the moment when each is due
        self._order = count()
        self._pollers: weakref.WeakSet[Poller] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"<Source of {self.name!r} [{len(self._again)} to be run again]>"

    # --- out --------------------------------------------------------------------------------------

    def again(self) -> Task[Any] | None:
        """A task that was run in vain, or given back, and is due."""
        with self._mutex:
            if self._again and self._again[0][0] <= time.time():
                return heapq.heappop(self._again)[2]
        return None

    def due_in(self) -> float:
        """Seconds until there may be one."""
        with self._mutex:
            return max(0.0, self._again[0][0] - time.time()) if self._again else float("inf")

    def fetch(self) -> Task[Any] | Iterator[Any] | None:
        """What the function gives: a task, an iterator of such, or None.

        Raises:
            StorageError: the function raised.
        """
        return _as_task(self._call("fetch", self._fetch))

    def next_of(self, rows: Iterator[Any]) -> Task[Any] | None:
        """The same of an iterator; raises `StopIteration` at its end."""
        over = object()
        got = self._call("fetch", next, rows, over)
        if got is over:
            raise StopIteration
        task = _as_task(got)
        return task if isinstance(task, Task) else None

    # --- back -------------------------------------------------------------------------------------

    def acknowledge(self, task: Task[Any], result: TaskResult[Any]) -> None:
        """Tell how a task ended; `StorageError` where nobody took it: then it is still to be run."""
        if self._ack is not None:
            self._call("ack", self._ack, task, result)

    def give_back(self, task: Task[Any]) -> None:
        """Let anybody have a task; where nobody takes it back, another worker of this process."""
        if self._give_back is None:
            self.put_back(task)
        else:
            self._call("give_back", self._give_back, task)

    def put_back(self, task: Task[Any], due: float = 0.0) -> None:
        """Have a task run by this process, at that moment."""
        with self._mutex:
            heapq.heappush(self._again, (due, next(self._order), task))
        self.notify()

    def close(self) -> None:
        """Give back what is to be run again; without a function for that, whoever gave it has to know."""
        with self._mutex:
            left, self._again = [task for *_, task in self._again], []
        with ExitStack() as last:  # all of them, though the function raises for one
            for task in reversed(left):
                if self._give_back is None:
                    log.info("task %s was fetched, and is neither done nor given back", task.id)
                else:
                    last.callback(self._call, "give_back", self._give_back, task)

    # --- waking -----------------------------------------------------------------------------------

    def watch(self, poller: Poller) -> None:
        """Have a poller told of what comes."""
        self._pollers.add(poller)

    def notify(self) -> None:
        """Tell those who wait in this process that there is something."""
        for poller in list(self._pollers):
            poller.notify()

    def _call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return done(function(*arguments))
        except (LeaseLost, QueueClosed, StorageError):
            raise
        except Exception as error:
            raise StorageError(
                f"queue {self.name!r}: the function for {name}= raised {type(error).__name__}: {error}"
            ) from error


def _as_task(got: Any) -> Task[Any] | Iterator[Any] | None:
    """Arguments as a task; a task, an iterator and None as they are."""
    return got if got is None or isinstance(got, (Task, Iterator)) else Task.of(got)

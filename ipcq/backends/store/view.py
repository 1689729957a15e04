"""A store as one process sees it: an index kept from what changed, and writes that come after it."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ...errors import CorruptQueue, StorageError
from ...task import TaskId
from ..bells import Bells
from .contract import Forgotten, Record, TaskStore, Waits, Write, WritesLightly
from .index import Entry, Index
from .keys import read_key
from .members import load_worker
from .plain import from_json
from .record import TaskRecord, load_task
from .sums import Sums

__all__ = ["Change", "View", "Patience"]

log = logging.getLogger("ipcq.store")

_SLICE = 0.1  # seconds: the longest sleep, for a store may let the bell be
_SHORTEST, _LONGEST = 0.001, 0.05  # seconds between two looks at a store that cannot wake


class Change(NamedTuple):
    """One write, with what is known of its value.

    Attributes:
        write: what the store is asked for.
        task: the record that the value is, where it is a task's.
    """

    write: Write
    task: TaskRecord | None = None


class View:
    """One store in one process; its queues' indexes may be read by whoever holds ``mutex``.

    Attributes:
        store: what it is a view of.
        mutex: held while the indexes are read or changed.
        seen: the version up to which everything is in the indexes.
        rebuilt: how often the indexes were made anew.
    """

    def __init__(self, store: TaskStore) -> None:
        self.store = store
        self.mutex = threading.RLock()
        self.seen = 0
        self.rebuilt = 0
        self._indexes: dict[str, Index] = {}
        self._ahead: dict[str, int] = {}  # our own writes that no scan has shown us yet
        self._torn = False
        self._bells = Bells()
        self._strange: set[str] = set()

    def __repr__(self) -> str:
        return f"<View of {self.store!r} [{len(self._indexes)} queues, version {self.seen}]>"

    def index(self, queue: str) -> Index:
        """What is known of a queue; nothing where there is none. With the mutex."""
        index = self._indexes.get(queue)
        if index is None:
            index = self._indexes[queue] = Index()
        return index

    def queues(self) -> list[str]:
        """Names of the queues that exist, sorted. With the mutex."""
        return sorted(name for name, index in self._indexes.items() if index.settings is not None)

    # --- looking ----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Take in what changed since the last look."""
        with self.mutex:
            before = self.seen
            while not self._look():  # the store may forget even while it tells everything
                self._start_over()
            self._ahead.clear()
            if self.seen != before:
                self._bells.ring()

    def _look(self) -> bool:
        """Take in what changed; False if the indexes are to be made anew."""
        if self._torn:  # by an interrupt, while a change was taken in
            return False
        try:
            self._take_in(self.store.scan(self.seen))
        except Forgotten:
            return False
        return True

    def _take_in(self, records: Iterable[Record]) -> None:
        for key, version, value in records:
            if version > self._ahead.get(key, 0):
                self._apply(key, version, value, None)
            self.seen = max(self.seen, version)

    def _start_over(self) -> None:
        for index in self._indexes.values():
            index.clear()
            index.settings = None
        self._ahead.clear()
        self._torn = False
        self.seen = 0
        self.rebuilt += 1

    def _apply(self, key: str, version: int, value: bytes | None, task: TaskRecord | None) -> None:
        self._torn = True  # until it is whole: a Ctrl-C may come in between
        try:
            self._note(key, version, value, task)
        except (CorruptQueue, ValueError) as error:  # a key may be no task's, too
            if key not in self._strange:
                self._strange.add(key)
                log.error("record %r of %r is left aside: %s", key, self.store, error)
        self._torn = False

    def _note(self, key: str, version: int, value: bytes | None, task: TaskRecord | None) -> None:
        kind, queue, name = read_key(key)
        if kind == "t":
            if value is not None:
                task = task or load_task(value)
            self.index(queue).put(TaskId.parse(name), Entry.of(task, version) if task else None)
        elif kind == "w":
            self.index(queue).put_worker(name, version, load_worker(value) if value is not None else None)
        elif kind == "s" and value is not None:
            self.index(queue).put_sums(name, version, _sums(value))
        elif kind == "c":
            self.index(queue).settings = value

    # --- writing ----------------------------------------------------------------------------------

    def commit(self, changes: Sequence[Change], *, lightly: bool = False) -> list[int] | None:
        """Make these writes at one moment; None where a record was not as expected, and nothing was done.

        Args:
            lightly: they are only shown, and may be lost with power, if that is cheaper.
        """
        store, writes = self.store, [change.write for change in changes]
        if lightly and isinstance(store, WritesLightly):
            versions = store.compare_and_set_lightly(writes)
        else:
            versions = self.store.compare_and_set(writes)
        if versions is None:
            return None
        with self.mutex:
            for (write, task), version in zip(changes, versions, strict=True):
                if version > max(self.seen, self._ahead.get(write.key, 0)):  # else a scan showed it already
                    self._ahead[write.key] = version
                    self._apply(write.key, version, write.value, task)
            self._bells.ring()
        return versions

    # --- waiting ----------------------------------------------------------------------------------

    def sleep(self, seen: int, timeout: float, fruitless: int, is_over: Callable[[], bool]) -> None:
        """Wait for a change after version ``seen``, or for `wake`; a tenth of a second at the most.

        Args:
            fruitless: how many looks in a row found nothing: where the store cannot wake, that decides.
            is_over: whether there is no need to wait any more; what changes that calls `wake`.
        """
        timeout = min(timeout, _SLICE)
        with self._bells.hung() as bell:
            if is_over():
                return
            if isinstance(self.store, Waits):
                self.store.wait(seen, timeout, bell)
            elif not self._is_past(seen):
                bell.wait(min(timeout, _LONGEST, _SHORTEST * 2 ** min(fruitless, 6)))

    def _is_past(self, seen: int) -> bool:
        with self.mutex:
            return self.seen > seen or bool(self._ahead)

    def wake(self) -> None:
        """Have all who sleep here look again; from another thread or a signal handler."""
        self._bells.ring()


class Patience:
    """Counts lost races: a few at once, then with pauses of chance length, not without an end."""

    MOST = 100

    def __init__(self) -> None:
        self._lost = 0

    def __repr__(self) -> str:
        return f"<Patience: {self._lost} of {self.MOST} races lost>"

    def lost(self, what: object) -> None:
        """Pause before the next try.

        Raises:
            StorageError: it was the last.
        """
        self._lost += 1
        if self._lost >= self.MOST:
            raise StorageError(
                f"{what} was changed by others {self._lost} times in a row while it was to be changed here;"
                " is the store's compare_and_set refusing everything?"
            )
        if self._lost > 2:
            time.sleep(random.uniform(0, min(0.02, 0.0005 * self._lost)))


def _sums(value: bytes) -> Sums:
    try:
        return Sums.of_fields(from_json(value))
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptQueue(f"not a record of sums ({error}): {value[:80]!r}") from error

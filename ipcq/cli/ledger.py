"""What ``ipcq map`` knows of its items: which task each one is, and which have their line already."""

from __future__ import annotations

from hashlib import blake2b
from itertools import islice
from typing import Protocol

from ..task import Task, TaskId
from .exits import UsageError
from .record import Record

__all__ = ["Chain", "Ledger", "Recorded", "Unrecorded"]


class Ledger(Protocol):
    """What the loop asks and tells about items.

    Attributes:
        resumable: whether another run can go on where this one stops.
    """

    resumable: bool

    def tasks(self, items: list[bytes]) -> list[Task[bytes]]:
        """The next items of the source as tasks, without those that have their line from an earlier run."""
        ...

    def known(self, tasks: list[Task[bytes]]) -> bool:
        """Whether some of these may be in the queue from an earlier run."""
        ...

    def failed(self, task_id: TaskId) -> None:
        """The line of this one tells an error."""
        ...

    def handed(self, task_id: TaskId, count: int) -> None:
        """That this one is settled is why so many lines go to the writer now."""
        ...


class Unrecorded:
    """Of a run that nobody goes on with. Fulfils `Ledger`."""

    resumable = False

    def tasks(self, items: list[bytes]) -> list[Task[bytes]]:
        """The items as tasks."""
        return [Task.of(item) for item in items]

    def known(self, tasks: list[Task[bytes]]) -> bool:
        """None are."""
        return False

    def failed(self, task_id: TaskId) -> None:
        """Nobody asks."""

    def handed(self, task_id: TaskId, count: int) -> None:
        """Nobody asks."""


class Chain:
    """Ids of items, each made of all items up to it: the same items in the same order have the same ids."""

    def __init__(self, key: str) -> None:
        self._last = key.encode()

    def next(self, item: bytes) -> TaskId:
        """The id of the next item."""
        self._last = blake2b(item, digest_size=16, key=self._last[:64]).digest()
        return TaskId(int.from_bytes(self._last, "big") or 1)


class Recorded:
    """Of a run that is recorded in its queue. Fulfils `Ledger`.

    Args:
        record: how far an earlier run came; kept up to date here, and stored when the lines are out.
        ordered: lines come in the order of the items, else in any.
        resuming: there was an earlier run.
    """

    resumable = True

    def __init__(self, record: Record, *, ordered: bool, resuming: bool) -> None:
        self.record = record
        self._ordered, self._resuming = ordered, resuming
        self._chain = Chain(record.key)
        self._skip = record.written
        self._compared = self._reach = max(record.ahead, default=record.written - 1) + 1
        self._held: list[Task[bytes]] = []  # until all items up to the last one with a line were compared
        self._seen = 0
        self._ids: dict[int, TaskId] = {}  # by position, from the first item without a line on
        self._positions: dict[TaskId, int] = {}
        self._failed: set[int] = set()

    def __repr__(self) -> str:
        return f"<Recorded run [{self._seen} items seen, {self.record.written} written]>"

    def tasks(self, items: list[bytes]) -> list[Task[bytes]]:
        """The items as tasks, without those that have their line."""
        self._held += [task for item in items if (task := self._task(item)) is not None]
        if self._seen < self._compared:
            return []
        tasks, self._held = self._held, []
        return tasks

    def _task(self, item: bytes) -> Task[bytes] | None:
        position, task_id = self._seen, self._chain.next(item)
        self._seen += 1
        if self._seen == self._compared and task_id != self.record.last:
            raise UsageError(
                f"the first {self._compared:,} items are not those of the interrupted run; give the same"
                " items in the same order, or begin anew with another queue"
            )
        if position < self._skip:
            return None
        self._ids[position], self._positions[task_id] = task_id, position
        if position in self.record.ahead:
            self._advance()
            return None
        return Task.of(item, id=task_id)

    def known(self, tasks: list[Task[bytes]]) -> bool:
        """Any may be, after an interruption."""
        return self._resuming

    def failed(self, task_id: TaskId) -> None:
        """The line of this one tells an error."""
        self._failed.add(self._positions[task_id])

    def handed(self, task_id: TaskId, count: int) -> None:
        """Note whose lines these are."""
        ahead = self.record.ahead
        if self._ordered:
            positions = list(islice((p for p in self._ids if p not in ahead), count))
        else:
            positions = [self._positions[task_id]]
        for position in positions:
            ahead.add(position)
            if position >= self._reach:
                self._reach, self.record.last = position + 1, self._ids[position]
            self.record.count(failed=position in self._failed)
            self._failed.discard(position)
        self._advance()

    def _advance(self) -> None:
        """Whoever has a line, and all before him, needs no entry of his own."""
        record = self.record
        while record.written in record.ahead and record.written in self._ids:
            record.ahead.remove(record.written)
            del self._positions[self._ids.pop(record.written)]
            record.written += 1

    def check_all_came(self) -> None:
        """Raise `UsageError` if there were fewer items than have lines already."""
        if self._seen < self._compared:
            raise UsageError(
                f"there were {self._seen:,} items, and the interrupted run wrote the line of item"
                f" {self._compared:,}; give the same items in the same order"
            )

"""How far a run came, as it is kept in its queue: for the next run, if this one is interrupted."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

from ..backend import Cancel, FetchById, Reschedule, Update
from ..sink import TaskSink
from ..status import Status
from ..task import Task, TaskId
from .exits import UsageError

__all__ = ["Place", "Record", "RecordQueue", "Shelf"]

_ID = TaskId(0x69706371_6D61_7000_8000_7265636F7264)  # always the same one: it must be found
_NEVER = datetime(3000, 1, 1, tzinfo=timezone.utc)  # the record is a task that is not due


@dataclass(frozen=True)
class Place:
    """Which file the lines went to, and how long it was with the last of them."""

    device: int
    inode: int
    size: int


@dataclass
class Record:
    """How far a run came.

    Attributes:
        function: what it calls.
        key: of chance; the ids of its items are made of it, so two runs never share any.
        written: how many items from the first one on have their line.
        ahead: positions of items behind these that have their line, too.
        last: the id of the last item that has its line; it tells all items up to that one.
        done: how many lines tell a value.
        failed: how many tell an error.
        place: of these lines; None if not in a file.
        complete: whether every item of the source has its line.
    """

    function: str
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    written: int = 0
    last: TaskId | None = None
    ahead: set[int] = field(default_factory=set)
    done: int = 0
    failed: int = 0
    place: Place | None = None
    complete: bool = False

    def count(self, *, failed: bool) -> None:
        """Count a line."""
        self.done += not failed
        self.failed += failed

    def forget_lines(self) -> None:
        """The lines are gone: each is to be written again."""
        self.written, self.last, self.done, self.failed, self.place = 0, None, 0, 0, None
        self.ahead.clear()

    def dump(self) -> bytes:
        """As bytes, for a task's arguments."""
        told = {
            **vars(self),
            "last": self.last and str(self.last),
            "ahead": f"{sum(1 << n - self.written for n in self.ahead):x}",  # a bit each
            "place": self.place and [self.place.device, self.place.inode, self.place.size],
        }
        return json.dumps(told).encode()

    @classmethod
    def load(cls, data: bytes) -> Record:
        """From these bytes.

        Raises:
            UsageError: they are something else.
        """
        try:
            told = json.loads(data)
            told["last"] = told["last"] and TaskId.parse(told["last"])
            told["ahead"] = _positions(int(told["ahead"], 16), told["written"])
            told["place"] = told["place"] and Place(*told["place"])
            return cls(**told)
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f"what the queue keeps of an earlier run cannot be read ({error})") from error


def _positions(bits: int, first: int) -> set[int]:
    return {first + n for n in range(bits.bit_length()) if bits >> n & 1}


class RecordQueue(TaskSink, FetchById, Update, Reschedule, Cancel, Protocol):
    """What keeping a record needs of a backend."""


class Shelf:
    """Where the record of a queue's run is: the arguments of a task that is never due."""

    def __init__(self, queue: RecordQueue) -> None:
        self._queue = queue
        self._task: Task[Any] | None = None

    def __repr__(self) -> str:
        return f"<Shelf in {self._queue!r}>"

    def find(self) -> Record | None:
        """The record that is there."""
        self._task = self._queue.fetch_by_id(_ID)
        return Record.load(bytes(self._task.args)) if self._task is not None else None

    def keep(self, record: Record) -> None:
        """Store the record in place of what is there."""
        if self._task is None:
            task: Task[bytes] = Task.of(record.dump(), id=_ID, run_at=_NEVER.timestamp())
            self._queue.push_task(task)
            self.find()
            return
        if self._task.status is not Status.PENDING:
            self._queue.reschedule(_ID, _NEVER)  # of a run that was complete
            self._task = self._queue.fetch_by_id(_ID)
        assert self._task is not None
        self._task.args = record.dump()
        self._task = self._queue.update(self._task)

    def close(self, record: Record) -> None:
        """Store that the run is complete: what is left is a finished task, which holds nobody up."""
        record.complete = True
        self.keep(record)
        self._queue.cancel(_ID)

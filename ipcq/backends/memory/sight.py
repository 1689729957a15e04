"""Looking at a task before it is changed: as it is at one moment, and nobody's who is dead."""

from __future__ import annotations

from typing import NamedTuple

from ...status import Status
from ...task import Queue, TaskId
from .connection import Connection
from .layout import ST_PENDING, STATUS_MASK
from .liveness import is_dead
from .participant import reclaim_dead
from .parts import status_of
from .reading import not_found
from .slots import owner

__all__ = ["Seen", "Sight"]

_MASK = 0xFFFF_FFFF_FFFF_FFFF


class Seen(NamedTuple):
    """A task as it was looked at."""

    slot: int
    word: int
    epoch: int

    @property
    def status(self) -> Status:
        """Its status."""
        return status_of(self.word)

    @property
    def owner(self) -> int:
        """The row of who has it; -1 for nobody."""
        return owner(self.word) - 1


class Sight:
    """Looks at the tasks of one queue."""

    def __init__(self, connection: Connection, queue: Queue) -> None:
        self._connection = connection
        self._queue = queue

    def __repr__(self) -> str:
        return f"<Sight of {self._queue!r}>"

    def look(self, task_id: TaskId) -> Seen:
        """The task as it is; `TaskNotFound`."""
        connection = self._connection
        with connection.turn:
            place = connection.run(connection.amend.look, task_id >> 64, task_id & _MASK)
            word, epoch = connection.out[0], connection.out[1]
        if not place or word & STATUS_MASK < ST_PENDING:
            raise not_found(self._queue, task_id)
        return Seen(place - 1, word, epoch)

    def find(self, task_id: TaskId) -> tuple[Seen, bool]:
        """The task, and whether it was taken from a dead process, which had it; `TaskNotFound`."""
        taken = False
        while True:
            seen = self.look(task_id)
            if not self.take_from_dead(seen):
                return seen, taken
            taken = True

    def take_from_dead(self, seen: Seen) -> bool:
        """Return what dead processes had, by the rules for every death, if one of them has this task."""
        if not self.is_abandoned(seen):
            return False
        reclaim_dead(self._connection, ())
        return True

    def is_abandoned(self, seen: Seen) -> bool:
        """Whether who has it is dead."""
        connection = self._connection
        return seen.owner >= 0 and is_dead(connection.words, connection.lock, seen.owner)

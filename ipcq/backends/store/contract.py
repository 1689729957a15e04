"""What a store must bring to become a backend; everything else follows by shared code.

A store is a set of records, each of them a key, a version and some bytes, that several processes share. All
its versions come from one counter that grows with every write, so whoever remembers the highest one he saw
asks `TaskStore.scan` for what changed since, and keeps an index of his own at no cost for what did not. So
no version may come into sight after a greater one did: the counter is read where the write is made, in one
transaction or under one lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from ...errors import StorageError
from ..bells import Bell

__all__ = ["Forgotten", "Record", "TaskStore", "Waits", "Write", "WritesLightly"]


class Forgotten(StorageError):
    """A store does not know any more what was removed since a version; scan from 0 on."""


class Record(NamedTuple):
    """One record as it was stored.

    Attributes:
        key: text without control characters, up to 255 characters.
        version: of the write that stored it, greater than that of every write before.
        value: the bytes; None tells that the record was removed by that write.
    """

    key: str
    version: int
    value: bytes | None


class Write(NamedTuple):
    """One part of a compare-and-set.

    Attributes:
        key: which record.
        expected: the version that it must have; 0 for none there.
        value: its new bytes; None to remove it.
    """

    key: str
    expected: int
    value: bytes | None


@runtime_checkable
class TaskStore(Protocol):
    """Records that several processes share. Calls come from any thread of any of them.

    A call that returned has stored what it says, as durably as the store promises. One that raises has stored
    nothing; errors of the medium are raised as `StorageError`, no room for more as `QueueFull`.
    """

    def get(self, key: str) -> Record | None:
        """The record of that key; None where there is none, or it was removed."""
        ...

    def put(self, key: str, value: bytes) -> int:
        """Store a record whatever was there before; its version."""
        ...

    def compare_and_set(self, writes: Sequence[Write]) -> list[int] | None:
        """Make all these writes, in their order and at one moment, if every record is as expected; else none.

        No two have the same key.

        Returns:
            The version of each write; None where one record was not as expected, and nothing was stored.
        """
        ...

    def scan(self, after: int = 0) -> Iterable[Record]:
        """Every record with a version greater than ``after``, by version; the last write of each at least.

        With ``after`` the removed ones too, with None for their value. The last may be the removal of a
        record that never was, with an empty key: its version tells how far this goes.

        Raises:
            Forgotten: which were removed since ``after`` is not known any more. A store may forget them all,
                but one that does it at every write has every process scan everything.
        """
        ...


@runtime_checkable
class Waits(Protocol):
    """What a store adds if it can wake: without it, whoever waits looks again at short intervals."""

    def wait(self, after: int, timeout: float, bell: Bell) -> None:
        """Return when there may be a version greater than ``after``, or after ``timeout`` seconds.

        Args:
            bell: when it is rung, return, too: it has a descriptor for ``select`` and the like, which can be
                read then. A store that waits for something else may let it be: ``timeout`` is short.
        """
        ...


@runtime_checkable
class WritesLightly(Protocol):
    """What a store adds if durability costs it time: what is only shown may be lost with power."""

    def compare_and_set_lightly(self, writes: Sequence[Write]) -> list[int] | None:
        """As `TaskStore.compare_and_set`, but as durable only as the next write that is."""
        ...

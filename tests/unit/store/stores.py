"""Stores as tests use them: the examples', closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from examples.custom_dict import DictStore
from examples.custom_sqlite import SqliteStore
from ipcq import QueueFull, Write

__all__ = ["DictStore", "Filling", "SqliteStore", "database"]


class Filling(DictStore):
    """Has no room for the writes for which `refuses`, told the number of each, is true."""

    tries = 0
    refuses: Callable[[int], bool] = staticmethod(lambda _: False)

    def compare_and_set(self, writes: Sequence[Write]) -> list[int] | None:
        self.tries += 1
        if self.refuses(self.tries):
            raise QueueFull("no space left on the device")
        return super().compare_and_set(writes)


@contextmanager
def database(path: Path) -> Iterator[SqliteStore]:
    """An SQLite store, whose connections in this process are closed at the end."""
    store = SqliteStore(str(path))
    try:
        yield store
    finally:
        for connection in store._of.values():
            connection.close()

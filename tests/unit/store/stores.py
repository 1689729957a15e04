"""Stores as tests use them: the examples', closed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from examples.custom_dict import DictStore
from examples.custom_sqlite import SqliteStore

__all__ = ["DictStore", "SqliteStore", "database"]


@contextmanager
def database(path: Path) -> Iterator[SqliteStore]:
    """An SQLite store, whose connections in this process are closed at the end."""
    store = SqliteStore(str(path))
    try:
        yield store
    finally:
        for connection in store._of.values():
            connection.close()

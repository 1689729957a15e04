"""A queue in an SQLite file: ``python -m examples.custom_sqlite FILE`` prints [1, 2, 6, 24, 120]."""

import os
import sqlite3
import sys
import threading
from collections.abc import Sequence

from ipcq import CustomBackend, Monitor, QueueFull, Record, StorageError, Write

MAKE = """PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, version INTEGER UNIQUE, value BLOB)"""
PUT = "REPLACE INTO records SELECT ?, ifnull(max(version), 0) + 1, ? FROM records RETURNING *"
SCAN = "SELECT * FROM records WHERE version > ?1 AND (?1 OR value NOT NULL) ORDER BY version"


class SqliteStore:
    """Records in a table; one that was removed keeps its row, without a value."""

    def __init__(self, path: str) -> None:
        self.path, self._of = path, dict[tuple[int, int], sqlite3.Connection]()

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return SqliteStore, (self.path,)

    def _database(self) -> sqlite3.Connection:
        me = os.getpid(), threading.get_ident()  # each thread its own; and none survives a fork
        if me not in self._of:
            new = sqlite3.connect(self.path, 30, isolation_level=None, check_same_thread=False)
            self._of[me] = new
            new.executescript(MAKE)
        return self._of[me]

    def _ask(self, sql: str, *values: object) -> list[Record]:
        try:
            return [Record(*row) for row in self._database().execute(sql, values)]
        except sqlite3.Error as error:
            kind = QueueFull if "disk is full" in str(error) else StorageError
            raise kind(f"{self.path}: {error}") from error

    def get(self, key: str) -> Record | None:
        return next(iter(self._ask("SELECT * FROM records WHERE key = ? AND value NOT NULL", key)), None)

    def put(self, key: str, value: bytes | None) -> int:
        return self._ask(PUT, key, value)[0].version

    def compare_and_set(self, writes: Sequence[Write]) -> list[int] | None:
        self._ask("BEGIN IMMEDIATE")
        with self._database():  # leaving it rolls back after an error
            there = [self.get(key) for key, _, _ in writes]
            same = [record.version if record else 0 for record in there] == [w.expected for w in writes]
            versions = [self.put(key, value) for key, _, value in writes] if same else None
            self._ask("COMMIT")  # here, where an error of the medium is told as one
            return versions

    def scan(self, after: int = 0) -> list[Record]:
        return self._ask(SCAN, after)


if __name__ == "__main__":
    with CustomBackend(store=SqliteStore(sys.argv[1])) as queue, Monitor(queue, "math:factorial", workers=2):
        print(sorted(result.unwrap() for result in queue.wait_for(queue.push_bulk(range(1, 6)))))

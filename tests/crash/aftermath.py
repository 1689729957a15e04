"""What must hold of a queue when all of its tasks are finished and its users are gone."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ipcq.backends.lockfile import PARTICIPANT
from ipcq.backends.memory import MemoryStorage
from ipcq.backends.memory.audit import audit
from ipcq.backends.memory.layout import (
    COUNTS,
    P_STATE,
    PART_ACTIVE,
    PAYLOAD_BLOB_BYTES,
    PAYLOAD_BLOCKS,
    REBUILDS,
    RECLAIMED,
    RESULT_BLOB_BYTES,
    RESULT_BLOCKS,
    ST_FAILED,
    ST_FREE,
    ST_PENDING,
    ST_QUEUED,
    ST_RUNNING,
)

_FILES = {"lock", "ctl.v1", "arena.v1", "blob"}
_UNFINISHED = (ST_PENDING, ST_QUEUED, ST_RUNNING, ST_FAILED)


def check_whole(storage: MemoryStorage) -> str:
    """Fail unless the queue is consistent; tells how often it was repaired."""
    connection = storage._connection
    storage.resume_abandoned()
    assert connection.call(audit, connection.core) == []
    words = connection.words
    return f"{words[REBUILDS]} rebuilds, {words[RECLAIMED]} tasks returned from the dead"


def check_empty(storage: MemoryStorage) -> str:
    """Vacuum the queue; fail unless nothing at all is left in it, by nobody but this handle."""
    told = check_whole(storage)
    storage.vacuum()
    check_whole(storage)
    connection = storage._connection
    words, core, lock = connection.words, connection.core, connection.lock
    assert words[COUNTS + ST_FREE] == core.capacity
    for counter in (PAYLOAD_BLOCKS, RESULT_BLOCKS, PAYLOAD_BLOB_BYTES, RESULT_BLOB_BYTES):
        assert words[counter] == 0
    rows = range(core.participants)
    active = {index for index in rows if words[core.row(index) + P_STATE] == PART_ACTIVE}
    locked = {index for index in rows if lock.is_held(PARTICIPANT + index)}
    own = {storage._client.index} if storage._client else set()
    assert active == locked == own
    directory = Path(connection.segment.directory)
    assert set(os.listdir(directory)) == _FILES
    assert connection.blobs.files() == set()
    return told


def unfinished(storage: MemoryStorage) -> int:
    """How many tasks are owed a run, or are running."""
    return sum(storage._connection.words[COUNTS + status] for status in _UNFINISHED)


def await_idle(storage: MemoryStorage, within: float = 120.0) -> None:
    """Wait until no task is owed a run."""
    until = time.monotonic() + within
    while unfinished(storage):
        assert time.monotonic() < until, f"still unfinished after {within:g} s: {storage!r}"
        time.sleep(0.01)


def await_workers(storage: MemoryStorage, count: int, within: float = 30.0) -> set[int]:
    """Wait until at least so many workers are there; their processes."""
    until = time.monotonic() + within
    while True:
        pids = {worker.pid for worker in storage.list_workers() if worker.alive}
        if len(pids) >= count:
            return pids
        assert time.monotonic() < until, f"{len(pids)} workers instead of {count} after {within:g} s"
        time.sleep(0.01)

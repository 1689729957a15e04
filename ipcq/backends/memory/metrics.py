"""Figures of one queue, from what is counted as tasks move: as cheap with a million tasks as with one."""

from __future__ import annotations

from collections.abc import Mapping

from ...status import Status
from ..figures import Figures
from ..parts import microseconds
from .connection import Connection
from .layout import (
    ACTIVITY,
    BLOCK_BYTES,
    BUCKETS,
    COUNTS,
    HEAP_SIZE,
    LAST_ACCEPTED,
    LEVEL_COUNT,
    M_CREATED,
    M_RUN_AT,
    META_WORDS,
    MINUTES,
    PAYLOAD_BLOB_BYTES,
    PAYLOAD_BLOCKS,
    READY,
    RECLAIMED,
    RESULT_BLOB_BYTES,
    RESULT_BLOCKS,
    RUN_FAILURES,
    RUN_TIME,
    RUN_TIMES,
    ST_PENDING,
    TASKS_DONE,
    TASKS_KILLED,
    WAIT_TIME,
    WAIT_TIMES,
)

__all__ = ["activity", "counts", "figures"]

_DAY = 86_400_000_000  # microseconds
_MINUTE = 60_000_000


def counts(connection: Connection) -> Mapping[Status, int]:
    """How many tasks are in each status."""
    return {status: connection.words[COUNTS + ST_PENDING + status] for status in Status}


def figures(connection: Connection) -> Figures:
    """All that a queue counted."""
    w = connection.words
    return Figures(
        counts=list(counts(connection).values()),
        delayed=w[HEAP_SIZE],
        done=w[TASKS_DONE],
        killed=w[TASKS_KILLED],
        failures=w[RUN_FAILURES],
        runs=w[RUN_TIMES : RUN_TIMES + BUCKETS].tolist(),
        waits=w[WAIT_TIMES : WAIT_TIMES + BUCKETS].tolist(),
        run_time=w[RUN_TIME] / 1e6,
        wait_time=w[WAIT_TIME] / 1e6,
        past_hour=_past_hour(connection),
        oldest=connection.call(_oldest, connection) / 1e6,
        newest=w[LAST_ACCEPTED] / 1e6,
        recovered=w[RECLAIMED],
        bytes=_bytes(connection),
    )


def activity(connection: Connection) -> tuple[int, ...]:
    """Tasks finished on each of the last seven days (UTC), today last."""
    today = microseconds() // _DAY
    days = []
    for day in range(today - 6, today + 1):
        word = connection.words[ACTIVITY + day % 8]
        days.append(word & (1 << 40) - 1 if word >> 40 == day else 0)
    return tuple(days)


def _past_hour(connection: Connection) -> int:
    """Tasks finished in this minute and the 59 before."""
    this = microseconds() // _MINUTE
    words = connection.words[MINUTES : MINUTES + 64]
    return sum(word & 0xFFFF_FFFF for word in words if this - 60 < word >> 32 <= this)


def _oldest(connection: Connection) -> int:
    """With the lock: when the task became due that is due for longest; of each priority that is the first."""
    w, core = connection.words, connection.core
    heads = [w[READY + 2 * level] for level in range(LEVEL_COUNT)]
    metas = [core.meta_at + (head - 1) * META_WORDS for head in heads if head]
    return min((max(w[m + M_RUN_AT], w[m + M_CREATED]) for m in metas), default=0)


def _bytes(connection: Connection) -> int:
    w = connection.words
    blocks = w[PAYLOAD_BLOCKS] + w[RESULT_BLOCKS]
    size: int = blocks * BLOCK_BYTES + w[PAYLOAD_BLOB_BYTES] + w[RESULT_BLOB_BYTES]
    return size

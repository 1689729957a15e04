"""The keys of a store's records: one letter for the kind, the queue, and what it is within that.

::

    c/QUEUE              settings of a queue
    t/QUEUE/TASK-ID      a task
    p/QUEUE/TASK-ID      its payload, where that is large
    r/QUEUE/TASK-ID      its result, where that is large
    w/QUEUE/DIGEST       a worker, by the digest of its id
    s/QUEUE/NUMBER       figures of tasks that were removed
    l/QUEUE              the id under which the queue's limits are kept
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from ...task import TaskId

__all__ = [
    "Key",
    "config_key",
    "limits_key",
    "payload_key",
    "read_key",
    "result_key",
    "stats_key",
    "task_key",
    "worker_key",
]


class Key(NamedTuple):
    """A key, taken apart.

    Attributes:
        kind: its first letter.
        queue: which queue it is of.
        name: the rest; empty for settings and limits.
    """

    kind: str
    queue: str
    name: str


def read_key(key: str) -> Key:
    """Take a key apart, whatever it is."""
    kind, _, rest = key.partition("/")
    queue, _, name = rest.partition("/")
    return Key(kind, queue, name)


def config_key(queue: str) -> str:
    """Of a queue's settings."""
    return f"c/{queue}"


def task_key(queue: str, task_id: TaskId) -> str:
    """Of a task."""
    return f"t/{queue}/{task_id}"


def payload_key(queue: str, task_id: TaskId) -> str:
    """Of a payload that is too large to be moved with its task."""
    return f"p/{queue}/{task_id}"


def result_key(queue: str, task_id: TaskId) -> str:
    """Of a result that is too large to be moved with its task."""
    return f"r/{queue}/{task_id}"


def worker_key(queue: str, worker_id: str) -> str:
    """Of a worker: of two with the same id only one can be there."""
    return f"w/{queue}/{blake2b(worker_id.encode(), digest_size=16).hexdigest()}"


def stats_key(queue: str, shard: int) -> str:
    """Of one part of the figures of removed tasks."""
    return f"s/{queue}/{shard}"


def limits_key(queue: str) -> str:
    """Of the id under which a queue's limits are kept."""
    return f"l/{queue}"

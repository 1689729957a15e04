"""Whether a worker lives, and the record of one that does: what the operating system tells."""

from __future__ import annotations

import socket
from dataclasses import replace
from functools import cache

from ..liveness import Identity, identity_is_gone, own_identity, resident_bytes
from .members import WorkerRecord

__all__ = ["beaten", "is_dead", "is_here", "own_worker"]


def own_worker(
    worker_id: str, number: int, layers: tuple[str, ...], now: int, identity: Identity | None = None
) -> WorkerRecord:
    """A worker in this process, or in the one on this host that has ``identity``."""
    return WorkerRecord(
        worker_id, number, _host(), identity or own_identity(), now, now, layers, resident_bytes()
    )


def beaten(worker: WorkerRecord, now: int) -> WorkerRecord:
    """The same, heard at this moment."""
    return replace(worker, beat=now, rss=resident_bytes())


def is_here(worker: WorkerRecord) -> bool:
    """Whether its process can be seen from here: same host, boot and pid namespace."""
    return worker.host == _host() and worker.identity.can_be_seen


def is_dead(worker: WorkerRecord, now: int, dead_after: int) -> bool:
    """Whether it is: here, that its process is gone, however long it was silent; elsewhere, its silence.

    Args:
        dead_after: microseconds of silence.
    """
    if is_here(worker):
        return identity_is_gone(worker.identity)
    return now - worker.beat > dead_after


@cache
def _host() -> str:
    return socket.gethostname()

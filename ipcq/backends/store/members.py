"""The record of a worker: who it is, where it runs, and when it was heard last."""

from __future__ import annotations

import socket
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

from ...errors import CorruptQueue
from ..liveness import Identity, identity_is_gone, own_identity, resident_bytes
from .plain import as_json, from_json

__all__ = ["WorkerRecord", "beaten", "dump_worker", "is_dead", "is_here", "load_worker", "own_worker"]


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker as it is stored.

    Attributes:
        id: its name.
        number: what tells it from all who had or will have this name.
        host: its machine.
        identity: pid, pid namespace, start and boot of its process.
        started: when it came, in microseconds.
        beat: when it was heard last.
        layers: names of its layers.
        rss: its resident memory then, in bytes.
        stop: whether it was asked to stop.
    """

    id: str
    number: int
    host: str
    identity: Identity
    started: int
    beat: int
    layers: tuple[str, ...] = ()
    rss: int = 0
    stop: bool = False


def own_worker(worker_id: str, number: int, layers: tuple[str, ...], now: int) -> WorkerRecord:
    """A worker in this process."""
    return WorkerRecord(worker_id, number, _host(), own_identity(), now, now, layers, resident_bytes())


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


def dump_worker(worker: WorkerRecord) -> bytes:
    """The bytes of a record: JSON, its fields as they are called here."""
    return as_json({**asdict(worker), "identity": list(worker.identity)})


def load_worker(data: bytes) -> WorkerRecord:
    """The record in these bytes; `CorruptQueue` where they are none."""
    try:
        fields: dict[str, Any] = from_json(data)
        fields["identity"] = Identity(*fields["identity"])
        fields["layers"] = tuple(fields["layers"])
        return WorkerRecord(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptQueue(f"not the record of a worker ({error}): {data[:80]!r}") from error

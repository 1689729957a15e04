"""The record of a worker: who it is, where it runs, and when it was heard last."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...errors import CorruptQueue
from ..liveness import Identity
from .plain import as_json, from_json

__all__ = ["WorkerRecord", "dump_worker", "load_worker"]


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
        request: what it was asked to do, a `WorkerRequest`.
    """

    id: str
    number: int
    host: str
    identity: Identity
    started: int
    beat: int
    layers: tuple[str, ...] = ()
    rss: int = 0
    request: int = 0


def dump_worker(worker: WorkerRecord) -> bytes:
    """The bytes of a record: JSON, its fields as they are called here."""
    return as_json({**asdict(worker), "identity": list(worker.identity)})


def load_worker(data: bytes) -> WorkerRecord:
    """The record in these bytes; `CorruptQueue` where they are none."""
    try:
        fields: dict[str, Any] = from_json(data)
        fields["identity"] = Identity(*fields["identity"])
        fields["layers"] = tuple(fields["layers"])
        fields.pop("stop", None)  # of the first version, where nobody could ask
        return WorkerRecord(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptQueue(f"not the record of a worker ({error}): {data[:80]!r}") from error
